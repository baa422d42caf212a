import { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { authEntities, authMigrations, AuthModule, PostgresUserDirectory } from 'nestjs-latchkey';
import { EmbeddedPostgres, signInAs, startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { App } from 'supertest/types.js';
import { NotesController } from '../src/notes.controller.js';

describe('Notes (e2e)', () => {
  let postgres: EmbeddedPostgres;
  let app: INestApplication<App>;

  beforeAll(async () => {
    postgres = await startEmbeddedPostgres({ settings: { fsync: 'off' } });
    const module = await Test.createTestingModule({
      imports: [
        TypeOrmModule.forRoot({
          type: 'postgres',
          url: postgres.url,
          entities: [...authEntities],
          migrations: [...authMigrations],
          migrationsRun: true,
        }),
        AuthModule.forRoot({ secrets: ['a secret for tests that is long enough'] }),
      ],
      controllers: [NotesController],
    }).compile();
    app = module.createNestApplication();
    await app.init();
  }, 60_000);

  afterAll(async () => {
    await app?.close();
    await postgres?.stop();
  });

  it('are for those who are logged in', async () => {
    await request(app.getHttpServer()).get('/notes').expect(401);
    const ada = await app.get(PostgresUserDirectory).create('ada@example.com', 'correct horse battery staple');
    const cookie = await signInAs(app, ada.id);
    await request(app.getHttpServer()).get('/notes').set('Cookie', cookie).expect(200);
  });
});
