import { strict as assert } from 'node:assert';
import { Controller, Get, Injectable, Module, Scope } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  authEntities,
  authMigrations,
  AuthModule,
  CurrentUser,
  PostgresUserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import { signInAs, startEmbeddedPostgres } from 'nestjs-latchkey/testing';

declare module 'nestjs-latchkey' {
  interface AuthUser {
    plan?: string;
  }
}

@Controller()
class MeController {
  @Get('me')
  me(@CurrentUser() user: AuthUser) {
    const plan: string | undefined = user.plan; // the augmentation reaches the published types
    return { email: user.email, plan: plan ?? 'free' };
  }
}

const postgres = await startEmbeddedPostgres();
const secrets = ['a consumer secret of more than 32 characters'];
const database = TypeOrmModule.forRoot({
  type: 'postgres',
  url: postgres.url,
  entities: authEntities,
  migrations: authMigrations,
  migrationsRun: true,
});
@Module({
  imports: [database, AuthModule.forRoot({ secrets, routes: { path: 'auth' } })],
  controllers: [MeController],
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['error'] });
await app.listen(0);
const url = await app.getUrl();
const user = await app.get(PostgresUserDirectory).create('ada@example.com', 'correct horse battery');
assert.equal((await fetch(`${url}/me`)).status, 401);
const answer = await fetch(`${url}/me`, { headers: { cookie: await signInAs(app, user.id) } });
assert.deepEqual(await answer.json(), { email: 'ada@example.com', plan: 'free' });
await app.close();

// Where a guard needs it, the guard cannot be global: Nest would leave the routes open.
@Injectable({ scope: Scope.REQUEST })
class DirectoryOfARequest extends PostgresUserDirectory {}

@Module({
  imports: [database, AuthModule.forRoot({ secrets, users: DirectoryOfARequest })],
  controllers: [MeController],
})
class OpenModule {}

const open = await NestFactory.create(OpenModule, { logger: false, abortOnError: false });
await assert.rejects(open.init(), { code: 'INVALID_CONFIG' });
await open.close();
await postgres.stop();
