// A CommonJS application on Nest 11, Fastify and TypeORM 0.3: `require` loads the ES module (Node 20.19 or later).
require('reflect-metadata');
const assert = require('node:assert/strict');
const { Catch, Controller, Get, HttpException, Injectable, Module, Scope } = require('@nestjs/common');
const { APP_GUARD, NestFactory } = require('@nestjs/core');
const { FastifyAdapter } = require('@nestjs/platform-fastify');
const { TypeOrmModule } = require('@nestjs/typeorm');
const {
  authEntities,
  authMigrations,
  AuthModule,
  AuthTransaction,
  CurrentUser,
  currentUser,
  PostgresUserDirectory,
} = require('nestjs-latchkey');
const { DataSource } = require('typeorm');
const { startEmbeddedPostgres } = require('nestjs-latchkey/testing');

class MeController {
  me(email) {
    return { email };
  }
}
Controller()(MeController);
Get('me')(MeController.prototype, 'me', Object.getOwnPropertyDescriptor(MeController.prototype, 'me'));
CurrentUser('email')(MeController.prototype, 'me', 0);

/** Guards of the host's run after ours on Nest 11 too, wherever they stand. */
const seen = [];
class GuardOfTheApplication {
  canActivate(context) {
    seen.push(['application', currentUser(context)?.email]);
    return true;
  }
}
class GuardOfAFeature {
  canActivate(context) {
    seen.push(['feature', currentUser(context)?.email]);
    return true;
  }
}
class FeatureModule {}
Module({ providers: [{ provide: APP_GUARD, useClass: GuardOfAFeature }] })(FeatureModule);

/** As in Nest's documentation: whatever is no HttpException is answered 500. */
class CatchEverythingFilter {
  catch(exception, host) {
    const isKnown = exception instanceof HttpException;
    const reply = host.switchToHttp().getResponse();
    reply.status(isKnown ? exception.getStatus() : 500).send(isKnown ? exception.getResponse() : {});
  }
}
Catch()(CatchEverythingFilter);

/** Where a guard needs it, the guard cannot be global: Nest would leave the routes open. */
class DirectoryOfARequest extends PostgresUserDirectory {}
Injectable({ scope: Scope.REQUEST })(DirectoryOfARequest);

async function main() {
  const postgres = await startEmbeddedPostgres();
  const secrets = ['a consumer secret of more than 32 characters'];
  const database = TypeOrmModule.forRoot({
    type: 'postgres',
    url: postgres.url,
    entities: authEntities,
    migrations: authMigrations,
    migrationsRun: true,
  });
  class AppModule {}
  Module({
    imports: [FeatureModule, database, AuthModule.forRoot({ secrets, routes: { path: 'auth' } })],
    controllers: [MeController],
    providers: [{ provide: APP_GUARD, useClass: GuardOfTheApplication }],
  })(AppModule);

  const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['error'] });
  app.useGlobalFilters(new CatchEverythingFilter());
  await app.listen(0);
  const url = await app.getUrl();
  await app.get(PostgresUserDirectory).create('ada@example.com', 'correct horse battery');
  const login = await fetch(`${url}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'ada@example.com', password: 'correct horse battery' }),
  });
  assert.equal(login.status, 200);
  const cookie = login.headers.get('set-cookie').split(';')[0];
  const refused = await fetch(`${url}/me`);
  assert.equal(refused.status, 401);
  assert.equal((await refused.json()).code, 'UNAUTHENTICATED');
  const unreadable = await fetch(`${url}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{',
  });
  assert.equal(unreadable.status, 422);
  assert.equal((await unreadable.json()).code, 'INVALID_INPUT');
  assert.deepEqual(await (await fetch(`${url}/me`, { headers: { cookie } })).json(), { email: 'ada@example.com' });
  const known = seen.slice(-2).map(([place, email]) => `${place}: ${email}`);
  assert.deepEqual(new Set(known), new Set(['application: ada@example.com', 'feature: ada@example.com']));
  // TypeORM 0.3: in the host's own transaction.
  const users = app.get(PostgresUserDirectory);
  const source = app.get(DataSource);
  const signUp = (email, commits) =>
    source.transaction(async (manager) => {
      await app.get(AuthTransaction).within(manager, () => users.create(email, 'correct horse battery'));
      if (!commits) throw new Error('undone');
    });
  await signUp('kept@example.com', true);
  await assert.rejects(signUp('undone@example.com', false), /undone/);
  assert.ok(await users.findByLogin('kept@example.com'));
  assert.equal(await users.findByLogin('undone@example.com'), null);
  const logout = await fetch(`${url}/auth/logout`, {
    method: 'POST',
    headers: { cookie, 'content-type': 'application/json' },
  });
  assert.equal(logout.status, 200);
  assert.equal((await fetch(`${url}/me`, { headers: { cookie } })).status, 401);
  await app.close();

  class OpenModule {}
  Module({
    imports: [database, AuthModule.forRoot({ secrets, users: DirectoryOfARequest })],
    controllers: [MeController],
  })(OpenModule);
  const open = await NestFactory.create(OpenModule, new FastifyAdapter(), { logger: false, abortOnError: false });
  await assert.rejects(open.init(), { code: 'INVALID_CONFIG' });
  await open.close();
  await postgres.stop();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
