import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { PASSWORD } from '../support/app.js';
import { startAppProcess, type AppProcess } from '../support/app-process.js';
import { cookieOf } from '../support/cookies.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('two processes on one database', () => {
  let db: TestDatabase;
  let [one, two] = [] as unknown as [AppProcess, AppProcess];
  beforeAll(async () => {
    db = await createTestDatabase();
    [one, two] = await Promise.all([startAppProcess(db.url), startAppProcess(db.url)]);
    await one.createUser('ada@example.com', PASSWORD);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([one?.stop(), two?.stop()]);
    await db?.drop();
  });

  const login = async (process: AppProcess) =>
    cookieOf(
      await request(process.url).post('/auth/login').send({ email: 'ada@example.com', password: PASSWORD }).expect(200),
    );
  const notes = (process: AppProcess, cookie: string) => request(process.url).get('/notes').set('Cookie', cookie);

  it('agree after a logout', async () => {
    const cookie = await login(one);
    await notes(two, cookie).expect(200);
    await request(two.url).post('/auth/logout').set('Cookie', cookie).expect(200);
    await notes(one, cookie).expect(401);
    await notes(two, cookie).expect(401);
  });

  it('agree after logout-all', async () => {
    const cookies = [await login(one), await login(two)];
    await request(one.url).post('/auth/logout-all').set('Cookie', cookies[0]!).expect(200);
    for (const cookie of cookies) {
      await notes(one, cookie).expect(401);
      await notes(two, cookie).expect(401);
    }
  });

  it('R17: agree after the account is disabled, and after it is deleted', async () => {
    const cookie = await login(one);
    await db.query('UPDATE users SET disabled_at = now()');
    await notes(one, cookie).expect(401);
    await notes(two, cookie).expect(401);
    await db.query('UPDATE users SET disabled_at = NULL');
    await db.query('DELETE FROM users');
    await notes(one, cookie).expect(401);
    await notes(two, cookie).expect(401);
    await one.createUser('ada@example.com', PASSWORD);
  });

  it('R38: 60 logins spread over both leave 25 sessions', async () => {
    for (let i = 0; i < 10; i++) {
      await Promise.all(Array.from({ length: 6 }, (_, j) => login(j % 2 ? one : two)));
    }
    const [row] = await db.query<{ n: number }>('SELECT count(*)::int AS n FROM sessions');
    expect(row!.n).toBe(25);
  }, 60_000);
});

it('bad configuration: the process does not start, and says why', async () => {
  const db = await createTestDatabase();
  const started = spawnSync('node', ['--import', './test/support/register.js', 'test/support/app-process.main.ts'], {
    env: { ...process.env, DATABASE_URL: db.url, AUTH_SECRET: 'too short' },
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(started.status).not.toBe(0);
  expect(started.stdout + started.stderr).toContain('secrets[0] must be a string of at least 32 characters');
  expect(started.stdout + started.stderr).not.toContain('too short');
  await db.drop();
}, 40_000);
