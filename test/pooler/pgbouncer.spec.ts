import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  AuthTransaction,
  EphemeralTokenService,
  PostgresUserDirectory,
  RateLimitService,
  SessionService,
  type AuthUser,
} from 'nestjs-latchkey';
import { InvalidationChannel } from 'nestjs-latchkey/engine';
import request from 'supertest';
import { createUser, PASSWORD, startTestApp, type TestApp } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { until } from '../support/heard.js';
import { startPgBouncer, type PgBouncer } from '../support/pgbouncer.js';

let bouncer: PgBouncer;
let db: TestDatabase;
let t: TestApp;
const warned = jest.fn();
beforeAll(async () => {
  bouncer = await startPgBouncer(process.env['LATCHKEY_TEST_SERVER']!, { mode: 'transaction', poolSize: 2 });
});
afterAll(() => bouncer.stop());
beforeEach(async () => {
  warned.mockClear();
  jest.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => void warned(String(message)));
  db = await createTestDatabase();
  t = await startTestApp({ url: bouncer.url(db.url), dataSource: { extra: { max: 8 } } });
});
afterEach(async () => {
  await t.close();
  await db.drop();
  jest.restoreAllMocks();
});

const login = (email: string) => request(t.url).post('/auth/login').send({ email, password: PASSWORD });
const cookieOf = (answer: { headers: Record<string, unknown> }) =>
  (answer.headers['set-cookie'] as string[])[0]!.split(';')[0]!;

describe('H21: PgBouncer in transaction mode, 8 clients on 2 connections', () => {
  it('H21: guarded requests, logins, logouts and limits all answer what they should', async () => {
    const users: AuthUser[] = [];
    for (let i = 0; i < 4; i++) users.push(await createUser(t.app, `user${i}@example.com`));
    const logins = await Promise.all(Array.from({ length: 40 }, (_, i) => login(users[i % 4]!.email)));
    expect(logins.map(({ status }) => status)).toEqual(logins.map(() => 200));
    const guarded = await Promise.all(
      Array.from({ length: 80 }, (_, i) =>
        request(t.url)
          .get('/auth/session')
          .set('Cookie', cookieOf(logins[i % 40]!)),
      ),
    );
    expect(guarded.map(({ status, body }) => [status, body.user.email])).toEqual(
      guarded.map((_, i) => [200, users[(i % 40) % 4]!.email]),
    );
    const limits = t.app.get(RateLimitService);
    const decisions = await Promise.all(Array.from({ length: 40 }, () => limits.consume('2fa_attempt', 'ada')));
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(5);
    const logouts = await Promise.all(
      logins.map((answer) => request(t.url).post('/auth/logout').set('Cookie', cookieOf(answer))),
    );
    expect(logouts.map(({ status }) => status)).toEqual(logouts.map(() => 200));
    for (const { id } of users) expect(await t.app.get(SessionService).listForUser(id)).toEqual([]);
    expect(warned.mock.calls.filter(([message]) => /prepared statements/.test(message as string))).toHaveLength(1);
  });

  it('H21: rotations, single-use tokens and transactions are decided as without it', async () => {
    const ada = await createUser(t.app, 'ada@example.com');
    const sessions = t.app.get(SessionService);
    const { session } = await sessions.create(ada.id);
    const rotations = await Promise.all(Array.from({ length: 20 }, () => sessions.rotate(session, ada.id)));
    // Within the grace all of them are led to the one successor.
    expect(new Set(rotations.map((rotation) => rotation?.token)).size).toBe(1);
    const tokens = t.app.get(EphemeralTokenService);
    const token = await tokens.issue('password_reset', { username: ada.email });
    const taken = await Promise.all(Array.from({ length: 20 }, () => tokens.consume('password_reset', token)));
    expect(taken.filter((fields) => fields !== null)).toHaveLength(1);
    const users = t.app.get(PostgresUserDirectory);
    const transaction = t.app.get(AuthTransaction);
    await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        transaction
          .run(async () => {
            await users.setPassword(ada.id, `horse battery number ${i}`);
            if (i % 2 === 1) throw new Error('undone');
          })
          .catch(() => undefined),
      ),
    );
    expect(await sessions.listForUser(ada.id)).toEqual([]);
  });

  it('H21: a cache hears past it by cache.url, and without that trusts nothing', async () => {
    const cached = await startTestApp({
      url: bouncer.url(db.url),
      auth: { cache: { enabled: true, url: db.url } },
    });
    const deaf = await startTestApp({ url: bouncer.url(db.url), auth: { cache: { enabled: true } } });
    const ada = await createUser(t.app, 'ada@example.com');
    const { token } = await t.app.get(SessionService).create(ada.id);
    await until(() => cached.app.get(InvalidationChannel).isCurrent);
    for (const other of [cached, deaf]) {
      expect(await other.app.get(SessionService).lookup(token)).not.toBeNull();
    }
    cached.queries.reset();
    expect(await cached.app.get(SessionService).lookup(token)).not.toBeNull();
    expect(cached.queries.statements).toEqual([]);
    expect(deaf.app.get(InvalidationChannel).isCurrent).toBe(false);
    await t.app.get(SessionService).revokeAllForUser(ada.id);
    expect(await deaf.app.get(SessionService).lookup(token)).toBeNull();
    await until(async () => (await cached.app.get(SessionService).lookup(token)) === null);
    await cached.close();
    await deaf.close();
  });
});
