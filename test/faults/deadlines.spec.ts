import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  AuthError,
  AuthTransaction,
  days,
  PostgresUserDirectory,
  RateLimitService,
  SessionService,
} from 'nestjs-latchkey';
import { Client } from 'pg';
import request from 'supertest';
import { createUser, PASSWORD, startTestApp, type TestApp } from '../support/app.js';
import { until } from '../support/heard.js';
import { createProxiedDatabase, type ProxiedDatabase } from '../support/tcp-proxy.js';

const TIMEOUT = 300;
const LOCK = "hashtextextended('nestjs-latchkey:sessions:' || $1, 0::bigint)";

let database: ProxiedDatabase;
let t: TestApp;
beforeEach(async () => {
  database = await createProxiedDatabase();
  t = await startTestApp({ url: database.url, auth: { database: { timeout: TIMEOUT } } });
});
afterEach(async () => {
  jest.restoreAllMocks();
  database.proxy.heal();
  await t.close();
  await database.drop();
});

const loggedIn = async (email: string) => {
  const user = await createUser(t.app, email);
  const answer = await request(t.url).post('/auth/login').send({ email, password: PASSWORD });
  expect(answer.status).toBe(200);
  return { user, cookie: answer.headers['set-cookie']![0]!.split(';')[0]! };
};
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: unknown) => (error instanceof AuthError ? error.code : error),
  );
/** What runs on the server for the application, beside what this test asks. */
const waiting = () =>
  database.db.query<{ query: string }>(`SELECT query FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()`);

describe('H20: a database that does not answer', () => {
  it('H20: a black hole: every route is answered 503, no cookie is touched, and all is well when it is over', async () => {
    const { cookie } = await loggedIn('ada@example.com');
    database.proxy.cut();
    const answers = await Promise.all([
      ...Array.from({ length: 12 }, () => request(t.url).get('/auth/session').set('Cookie', cookie)),
      request(t.url).post('/auth/logout').set('Cookie', cookie),
      request(t.url).post('/auth/login').send({ email: 'ada@example.com', password: PASSWORD }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503));
    expect(answers.map(({ headers }) => headers['set-cookie'])).toEqual(answers.map(() => undefined));
    // Connections that were opened into the hole are given up as well.
    const again = await request(t.url).get('/auth/session').set('Cookie', cookie);
    expect(again.status).toBe(503);
    database.proxy.heal();
    await until(async () => (await request(t.url).get('/auth/session').set('Cookie', cookie)).status === 200);
  });

  it('H20: a lock that another program holds on one user takes no other user’s connection', async () => {
    const { user: ada } = await loggedIn('ada@example.com');
    const { user: bob, cookie } = await loggedIn('bob@example.com');
    const sessions = t.app.get(SessionService);
    const holder = new Client({ connectionString: database.db.url });
    await holder.connect();
    await holder.query(`SELECT pg_advisory_lock(${LOCK})`, [ada.id]);
    const stuck = Array.from({ length: 30 }, (_, i) =>
      codeOf(i % 3 === 0 ? sessions.revokeAllForUser(ada.id) : sessions.create(ada.id)),
    );
    await until(async () => (await waiting()).length > 0);
    expect((await waiting()).length).toBeLessThanOrEqual(2);
    expect((await request(t.url).get('/auth/session').set('Cookie', cookie)).status).toBe(200);
    expect(await codeOf(sessions.create(bob.id))).toBe('done');
    expect(await Promise.all(stuck)).toEqual(stuck.map(() => 'STORE_UNAVAILABLE'));
    // The server was asked to give up, and does not keep a backend for each that did.
    await until(async () => (await waiting()).length === 0);
    await holder.end();
    await until(async () => (await codeOf(sessions.create(ada.id))) === 'done');
    expect(await sessions.listForUser(ada.id)).toHaveLength(2);
  });

  it('H20: a transaction that is not answered is given up, and its connection not used again', async () => {
    const { user: ada } = await loggedIn('ada@example.com');
    const holder = new Client({ connectionString: database.db.url });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [ada.id]);
    const users = t.app.get(PostgresUserDirectory);
    const changed = t.app.get(AuthTransaction).run(() => users.setPassword(ada.id, 'another horse battery'));
    expect(await codeOf(changed)).toBe('STORE_UNAVAILABLE');
    await until(async () => (await waiting()).length === 0);
    await holder.query('COMMIT');
    await holder.end();
    expect(await users.verifyCredentials('ada@example.com', PASSWORD)).toMatchObject({ id: ada.id });
    expect(await users.setPassword(ada.id, 'another horse battery')).toBe(true);
  });
});

it('H22: a pool of one connection is refused at boot', async () => {
  await expect(startTestApp({ url: database.db.url, dataSource: { extra: { max: 1 } } })).rejects.toThrow(/at least 2/);
  // Negative control: with two, a limit within a transaction is counted.
  const two = await startTestApp({ url: database.db.url, dataSource: { extra: { max: 2 } } });
  const decision = await two.app
    .get(AuthTransaction)
    .run(() => two.app.get(RateLimitService).consume('email_send', 'ada'));
  expect(decision.allowed).toBe(true);
  await two.close();
});

it('H23: a read-only database: a session that is due for its extension is 200 without a new cookie, and one warning', async () => {
  const { cookie } = await loggedIn('ada@example.com');
  const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  t.clock.advance(days(25));
  const name = new URL(database.db.url).pathname.slice(1);
  const reconnect = () =>
    database.db.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
  await database.db.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
  await reconnect();
  await until(async () => (await request(t.url).get('/auth/session').set('Cookie', cookie)).status === 200);
  for (let i = 0; i < 3; i++) {
    const answer = await request(t.url).get('/auth/session').set('Cookie', cookie);
    expect([answer.status, answer.headers['set-cookie']]).toEqual([200, undefined]);
  }
  expect(warn.mock.calls.filter(([message]) => /read-only/.test(String(message)))).toHaveLength(1);
  await database.db.query(
    `SET default_transaction_read_only = off; ALTER DATABASE ${name} RESET default_transaction_read_only`,
  );
  await reconnect();
  await until(
    async () => (await request(t.url).get('/auth/session').set('Cookie', cookie)).headers['set-cookie'] !== undefined,
  );
});
