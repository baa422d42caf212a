import { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { PostgresUserDirectory } from 'nestjs-latchkey';
import { EmbeddedPostgres, startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { App } from 'supertest/types.js';
import { AppModule } from '../src/app.module.js';

describe('Auth (e2e)', () => {
  let postgres: EmbeddedPostgres;
  let app: INestApplication<App>;
  beforeAll(async () => {
    postgres = await startEmbeddedPostgres();
    process.env['DATABASE_URL'] = postgres.url;
    const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
    app = module.createNestApplication();
    await app.init();
    await app.get(PostgresUserDirectory).create('ada@example.com', 'correct horse battery staple');
  }, 60_000);
  afterAll(async () => {
    await app?.close();
    await postgres?.stop();
  });

  it('guards, logs in and out', async () => {
    const server = app.getHttpServer();
    await request(server).get('/notes').expect(401);
    const login = await request(server)
      .post('/auth/login')
      .send({ email: 'ada@example.com', password: 'correct horse battery staple' })
      .expect(200);
    const cookie = login.get('Set-Cookie')![0].split(';')[0];
    const { body } = await request(server).get('/notes').set('Cookie', cookie).expect(200);
    expect(body).toMatchObject({ sessions: 1 });
    await request(server).post('/auth/logout').set('Cookie', cookie).expect(200);
    await request(server).get('/notes').set('Cookie', cookie).expect(401);
  });
});
