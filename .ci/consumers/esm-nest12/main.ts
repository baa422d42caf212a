import { strict as assert } from 'node:assert';
import { Controller, Get, Module } from '@nestjs/common';
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
    roles?: string[];
  }
}

@Controller()
class MeController {
  @Get('me')
  me(@CurrentUser() user: AuthUser) {
    const roles: string[] | undefined = user.roles; // the augmentation reaches the published types
    return { email: user.email, roles: roles ?? [] };
  }
}

const postgres = await startEmbeddedPostgres();
@Module({
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
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['error'] });
await app.listen(0);
const url = await app.getUrl();
const user = await app.get(PostgresUserDirectory).create('ada@example.com', 'correct horse');
assert.equal((await fetch(`${url}/me`)).status, 401);
const answer = await fetch(`${url}/me`, { headers: { cookie: await signInAs(app, user.id) } });
assert.deepEqual(await answer.json(), { email: 'ada@example.com', roles: [] });
await app.close();
await postgres.stop();
