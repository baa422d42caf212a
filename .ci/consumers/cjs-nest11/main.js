// A CommonJS application on Nest 11, Fastify and TypeORM 0.3: `require` loads the ES module (Node 20.19 or later).
require('reflect-metadata');
const assert = require('node:assert/strict');
const { Controller, Get, Module } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');
const { FastifyAdapter } = require('@nestjs/platform-fastify');
const { TypeOrmModule } = require('@nestjs/typeorm');
const { authEntities, authMigrations, AuthModule, CurrentUser, PostgresUserDirectory } = require('nestjs-latchkey');
const { startEmbeddedPostgres } = require('nestjs-latchkey/testing');

class MeController {
  me(email) {
    return { email };
  }
}
Controller()(MeController);
Get('me')(MeController.prototype, 'me', Object.getOwnPropertyDescriptor(MeController.prototype, 'me'));
CurrentUser('email')(MeController.prototype, 'me', 0);

async function main() {
  const postgres = await startEmbeddedPostgres();
  class AppModule {}
  Module({
    imports: [
      TypeOrmModule.forRoot({
        type: 'postgres',
        url: postgres.url,
        entities: authEntities,
        migrations: authMigrations,
        migrationsRun: true,
      }),
      AuthModule.forRoot({ secrets: ['a consumer secret of more than 32 characters'], routes: { path: 'auth' } }),
    ],
    controllers: [MeController],
  })(AppModule);

  const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['error'] });
  await app.listen(0);
  const url = await app.getUrl();
  await app.get(PostgresUserDirectory).create('ada@example.com', 'correct horse');
  const login = await fetch(`${url}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'ada@example.com', password: 'correct horse' }),
  });
  assert.equal(login.status, 200);
  const cookie = login.headers.get('set-cookie').split(';')[0];
  assert.equal((await fetch(`${url}/me`)).status, 401);
  assert.deepEqual(await (await fetch(`${url}/me`, { headers: { cookie } })).json(), { email: 'ada@example.com' });
  const logout = await fetch(`${url}/auth/logout`, { method: 'POST', headers: { cookie } });
  assert.equal(logout.status, 200);
  assert.equal((await fetch(`${url}/me`, { headers: { cookie } })).status, 401);
  await app.close();
  await postgres.stop();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
