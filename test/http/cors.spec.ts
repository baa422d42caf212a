import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get, Post, type INestApplication } from '@nestjs/common';
import request from 'supertest';
import { closeAll, createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { cookieOf } from '../support/cookies.js';

const FRONT_END = 'https://app.example.com';
const FOREIGN = 'https://evil.example';

@Controller('notes')
class NotesController {
  @Get()
  list() {
    return [];
  }

  @Post()
  add() {
    return [];
  }
}

/** What docs/spa-and-cors.md says. */
describe.each(PLATFORMS)('a page of another origin, with CORS, on %s', (platform) => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({
      platform,
      auth: { trustedOrigins: [FRONT_END] },
      controllers: [NotesController],
      configure: (app: INestApplication) =>
        app.enableCors({ origin: [FRONT_END], credentials: true, exposedHeaders: ['Retry-After', 'WWW-Authenticate'] }),
    });
    await createUser(test.app, 'ada@example.com');
  });
  afterAll(() => closeAll(test));

  const server = () => test.app.getHttpServer();
  const from = (origin: string) => ({ Origin: origin, 'Sec-Fetch-Site': 'same-site' });
  const credentials = { email: 'ada@example.com', password: PASSWORD };

  it('a preflight is answered before any guard', async () => {
    const answer = await request(server())
      .options('/notes')
      .set({ ...from(FRONT_END), 'Access-Control-Request-Method': 'POST' })
      .expect(204);
    expect(answer.headers['access-control-allow-origin']).toBe(FRONT_END);
    expect(answer.headers['access-control-allow-credentials']).toBe('true');
  });

  it('logs in and changes something with the default cookie, which has no Domain', async () => {
    const login = await request(server()).post('/auth/login').set(from(FRONT_END)).send(credentials).expect(200);
    expect(login.headers['access-control-allow-credentials']).toBe('true');
    const [set] = login.get('Set-Cookie')!;
    expect(set).toMatch(/^__Host-session=.*SameSite=Lax/);
    expect(set).not.toContain('Domain');
    const headers = { ...from(FRONT_END), Cookie: cookieOf(login) };
    await request(server()).get('/notes').set(headers).expect(200);
    await request(server()).post('/notes').set(headers).expect(201);
  });

  it('a page that may read nothing changes nothing either: CORS does not decide that', async () => {
    const login = await request(server()).post('/auth/login').send(credentials).expect(200);
    const headers = { ...from(FOREIGN), Cookie: cookieOf(login) };
    const answer = await request(server()).post('/notes').set(headers).expect(403);
    expect(answer.body.code).toBe('CROSS_ORIGIN_REQUEST');
    expect(answer.headers['access-control-allow-origin']).not.toBe(FOREIGN);
    await request(server()).post('/auth/login').set(from(FOREIGN)).send(credentials).expect(403);
    await request(server()).post('/auth/token').set(from(FOREIGN)).send(credentials).expect(403);
  });

  it('with a bearer token and without our cookie any page may; beside the cookie it may not', async () => {
    const { body } = await request(server()).post('/auth/token').set(from(FRONT_END)).send(credentials).expect(200);
    const bearer = { ...from(FOREIGN), Authorization: `Bearer ${body.token}` };
    await request(server()).post('/notes').set(bearer).expect(201);
    const login = await request(server()).post('/auth/login').send(credentials).expect(200);
    await request(server())
      .post('/notes')
      .set({ ...bearer, Cookie: cookieOf(login) })
      .expect(403);
  });
});
