import { Controller, Post, Req, UnauthorizedException, Get } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  AuthEvents,
  CurrentUser,
  days,
  hours,
  HttpSessions,
  minutes,
  PostgresUserDirectory,
  Public,
  seconds,
  SessionService,
  TokenRevocationService,
  UserDirectory,
  type AuthEvent,
  type AuthOptions,
  type AuthUser,
} from 'nestjs-latchkey';
import {
  betterAuthSessions,
  expressSessions,
  importedUserId,
  passportJwt,
  scryptPasswords,
  type LegacySessionSource,
} from 'nestjs-latchkey/engine';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { latchkey } from '../support/command.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { mistakesOf, withSecrets } from '../support/config-mistakes.js';
import { oldSystem, type OldLogin } from '../support/old-systems/old-system.js';
import { startOwnPostgres } from '../support/own-postgres.js';

const OLD_SECRET = 'the secret of the system that we move in from';

@Controller()
class NotesController {
  constructor(private readonly sessions: HttpSessions) {}

  @Get('whoami')
  whoami(@CurrentUser() user: AuthUser) {
    return { id: user.id };
  }

  @Public()
  @Post('exchange')
  async exchange(@Req() req: Parameters<HttpSessions['exchangeToken']>[0]) {
    const session = await this.sessions.exchangeToken(req);
    if (!session) throw new UnauthorizedException();
    return { token: session.token };
  }
}

const setCookies = (answer: Response) => answer.get('Set-Cookie') ?? [];
const ours = (answer: Response) => setCookies(answer).find((one) => one.startsWith('__Host-session='));
const cleared = (answer: Response, name: string) =>
  setCookies(answer).some((one) => one.startsWith(`${name}=;`) && one.includes('Max-Age=0'));
const pair = (setCookie: string) => setCookie.slice(0, setCookie.indexOf(';'));

let t: TestApp | undefined;
let db: TestDatabase | undefined;
afterEach(async () => {
  await t?.close();
  await db?.drop();
  t = db = undefined;
});

describe.each(PLATFORMS)('moving in with the sessions of another system, on %s', (platform) => {
  const start = async (source: LegacySessionSource, auth: Partial<AuthOptions> = {}, until = days(30)) => {
    t = await startTestApp({
      url: db!.url,
      platform,
      controllers: [NotesController],
      auth: {
        legacySessions: { sources: [source], until: new Date(Date.now() + until) },
        ...auth,
      },
      startAt: Date.now(), // which the old libraries read
    });
    return t;
  };
  const get = (cookie: string, path = '/whoami') => request(t!.url).get(path).set('Cookie', cookie);
  const count = async (table: string) =>
    ((await db!.query(`SELECT count(*)::int AS n FROM ${table}`)) as [{ n: number }])[0].n;
  /** What was emitted, but for the logins of the test itself. */
  const heard = () => {
    const events: AuthEvent[] = [];
    t!.app.get(AuthEvents).on((event) => void events.push(event));
    return events;
  };

  /** Ada and Bob of an application with passport, in our table since `import`. */
  const express = async (): Promise<[anonymous: OldLogin, ada: OldLogin, bob: OldLogin]> => {
    db = await createTestDatabase();
    await db.query('CREATE SCHEMA old');
    await db.query('CREATE TABLE old.people (id integer PRIMARY KEY, mail text, hash text, is_active boolean)');
    await db.query(
      `INSERT INTO old.people VALUES (1, 'ada@example.com', 'x', true), (2, 'bob@example.com', NULL, true)`,
    );
    const made = await oldSystem('express-session', { databaseUrl: db.url, secret: OLD_SECRET, users: ['1', '2'] });
    const columns = '--table old.people --email mail --password-hash hash --active is_active';
    const ran = await latchkey(['import', 'express-session', ...columns.split(' '), '--json'], {
      DATABASE_URL: db.url,
    });
    expect(ran).toMatchObject({ status: 0, err: '' });
    expect(JSON.parse(ran.out)).toMatchObject({ imported: 2, withoutPassword: 1, sessionsLeft: 3 });
    return made as [OldLogin, OldLogin, OldLogin];
  };

  it('H44: express-session: ada stays logged in, with a session of ours, once; the old cookie and its row are gone', async () => {
    const [, ada] = await express();
    await start(expressSessions({ secret: OLD_SECRET }));
    const events = heard();
    const first = await get(ada.cookie).expect(200);
    expect(first.body).toEqual({ id: importedUserId('1') });
    expect(cleared(first, 'connect.sid')).toBe(true);
    expect(await count('session')).toBe(2);
    expect(events.filter(({ type }) => type === 'session.imported')).toEqual([
      expect.objectContaining({ userId: importedUserId('1'), source: 'express-session', ip: '127.0.0.1' }),
    ]);
    // Replayed, it opens nothing; the new cookie goes on.
    const replayed = await get(ada.cookie).expect(401);
    expect(setCookies(replayed)).toEqual([]);
    const again = await get(pair(ours(first)!)).expect(200);
    expect(setCookies(again)).toEqual([]);
    expect(await count('sessions')).toBe(1);
  });

  it('H44: express-session: forged, expired and anonymous sessions are nobody’s, and stay as they are', async () => {
    const [anonymous, ada, bob] = await express();
    await start(expressSessions({ secret: OLD_SECRET }));
    const forged = `${ada.cookie.slice(0, -1)}${ada.cookie.endsWith('A') ? 'B' : 'A'}`;
    for (const cookie of [
      anonymous.cookie,
      forged,
      'connect.sid=',
      'connect.sid=s%3A',
      'connect.sid=%E0%A4%A',
      'connect.sid=x.y',
    ]) {
      const answer = await get(cookie).expect(401);
      expect(setCookies(answer)).toEqual([]);
    }
    await get(`${ada.cookie}; ${bob.cookie}`).expect(401); // which of the two?
    expect(await count('session')).toBe(3);
    const [row] = await db!.query<{ expire: number }>(
      `SELECT extract(epoch FROM expire::timestamptz)::float8 AS expire FROM session WHERE sess::text LIKE '%"user":"1"%'`,
    );
    t!.clock.set(row!.expire * 1000);
    await get(ada.cookie).expect(401);
    expect(await count('session')).toBe(3);
    t!.clock.set(row!.expire * 1000 - 1);
    await get(ada.cookie).expect(200);
  });

  it('of 50 requests at once with one old cookie exactly one session is opened, also in two processes', async () => {
    const [, ada] = await express();
    await start(expressSessions({ secret: OLD_SECRET }));
    const one = t!;
    const other = await start(expressSessions({ secret: OLD_SECRET }));
    try {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          request(i % 2 ? one.url : other.url)
            .get('/whoami')
            .set('Cookie', ada.cookie),
        ),
      );
      expect(await count('sessions')).toBe(1);
      const cookies = new Set(answers.flatMap((answer) => ours(answer) ?? []).map(pair));
      expect(cookies.size).toBe(1);
      expect(new Set(answers.map(({ status }) => status)).has(200)).toBe(true);
      for (const answer of answers) expect([200, 401]).toContain(answer.status);
      // Whoever was too late has neither a session nor a word about cookies.
      for (const answer of answers.filter(({ status }) => status === 401)) expect(setCookies(answer)).toEqual([]);
    } finally {
      await one.app.close();
    }
  });

  it('a logout ends the old session too, and a login as somebody else does', async () => {
    const [, ada, bob] = await express();
    await start(expressSessions({ secret: OLD_SECRET }));
    const out = await request(t!.url).post('/auth/logout').set('Cookie', ada.cookie).expect(200);
    expect(cleared(out, 'connect.sid')).toBe(true);
    await get(ada.cookie).expect(401);
    await createUser(t!.app, 'eve@example.com');
    const login = await request(t!.url)
      .post('/auth/login')
      .set('Cookie', bob.cookie)
      .send({ email: 'eve@example.com', password: PASSWORD })
      .expect(200);
    expect(cleared(login, 'connect.sid')).toBe(true);
    await get(bob.cookie).expect(401);
  });

  it('an account that is disabled, gone or signed out everywhere has no old session; enabled again, it has', async () => {
    const [, ada, bob] = await express();
    await start(expressSessions({ secret: OLD_SECRET }));
    const users = t!.app.get(PostgresUserDirectory);
    await users.disable(importedUserId('2'));
    await get(bob.cookie).expect(401);
    await t!.app.get(TokenRevocationService).revokeAllForUser(importedUserId('1'));
    await get(ada.cookie).expect(401);
    expect(await count('sessions')).toBe(0);
    expect(await count('session')).toBe(3);
    await users.delete(importedUserId('1'));
    await get(ada.cookie).expect(401);
  });

  it('when the login is known it counts: a cutoff before it ends nothing, and no session is fresh or lives longer for it', async () => {
    const [, ada, bob] = await express();
    const now = Date.now();
    const authenticatedAt = (session: object) =>
      JSON.stringify(session).includes('"user":"1"') ? now - days(10) : now - days(91);
    await start(expressSessions({ secret: OLD_SECRET, authenticatedAt }));
    t!.clock.set(now - days(11));
    await t!.app.get(TokenRevocationService).revokeAllForUser(importedUserId('1'));
    t!.clock.set(now);
    await get(ada.cookie).expect(200);
    const [session] = await t!.app.get(SessionService).listForUser(importedUserId('1'));
    expect(session).toMatchObject({ authenticatedAt: now - days(10) });
    await get(bob.cookie).expect(401); // older than session.absoluteLifetime
  });

  it('a short absolute lifetime takes a session of unknown age over too, and not as a fresh one', async () => {
    const [, ada] = await express();
    const session = { ttl: hours(1), extendBelow: minutes(30), absoluteLifetime: hours(12) };
    await start(expressSessions({ secret: OLD_SECRET }), { session });
    await get(pair(ours(await get(ada.cookie).expect(200))!)).expect(200);
    const [taken] = await t!.app.get(SessionService).listForUser(importedUserId('1'));
    expect(Date.now() - taken!.authenticatedAt).toBeGreaterThan(hours(5));
  });

  it('after its end nothing of it runs, not even a query, and the application boots as before', async () => {
    const [, ada] = await express();
    await start(expressSessions({ secret: OLD_SECRET }), {}, minutes(5));
    t!.clock.advance(minutes(5));
    t!.queries.reset();
    await get(ada.cookie).expect(401);
    expect(t!.queries.statements).toEqual([]);
    await t!.close();
    await start(expressSessions({ secret: OLD_SECRET, table: 'gone' }), {}, -1);
    await get(ada.cookie).expect(401);
  });

  it('H44: better-auth: ada stays logged in, her password too; accounts come once, and a dry run changes nothing', async () => {
    db = await createTestDatabase();
    await db.query('CREATE SCHEMA old');
    const users = ['ada@example.com', 'bob@example.com', 'eve@example.com', 'mallory@example.com'];
    const [ada, bob, eve, mallory] = (await oldSystem('better-auth', {
      databaseUrl: db.url,
      schema: 'old',
      secret: OLD_SECRET,
      users,
      password: PASSWORD,
    })) as [OldLogin, OldLogin, OldLogin, OldLogin];
    await db.query(`UPDATE old."user" SET banned = true WHERE id = $1`, [eve.id]);
    await db.query(`UPDATE old.session SET "impersonatedBy" = $1 WHERE "userId" = $2`, [ada.id, mallory.id]);
    await db.query(`UPDATE old.session SET "createdAt" = "createdAt" - interval '3 days' WHERE "userId" = $1`, [
      ada.id,
    ]);
    const run = (...more: string[]) =>
      latchkey(['import', 'better-auth', '--from-schema', 'old', '--json', ...more], { DATABASE_URL: db!.url });
    const counts = { accounts: 4, disabled: 1, withoutPassword: 0, sessionsLeft: 4 };
    const dry = await run('--dry-run');
    expect(JSON.parse(dry.out)).toMatchObject({ dryRun: true, imported: 4, present: 0, ...counts });
    expect(await count('users')).toBe(0);
    expect(JSON.parse((await run()).out)).toMatchObject({ dryRun: false, imported: 4, present: 0, ...counts });
    expect(JSON.parse((await run()).out)).toMatchObject({ imported: 0, present: 4, disabled: 0 });
    // As the id of somebody else in another system would be.
    await db.query(`UPDATE users SET email = 'zoe@example.com' WHERE id = $1`, [importedUserId(bob.id)]);
    expect(await run()).toMatchObject({ status: 1, out: expect.stringContaining('another address here') });
    expect(JSON.parse((await run('--addresses-changed')).out)).toMatchObject({ imported: 0, present: 4 });
    await db.query(`UPDATE users SET email = 'bob@example.com' WHERE id = $1`, [importedUserId(bob.id)]);
    expect(await count('users')).toBe(4);

    await start(betterAuthSessions({ secret: OLD_SECRET, table: 'old.session' }), {
      password: { memoryCost: 8, timeCost: 1, legacy: [scryptPasswords()] },
    });
    const first = await get(ada.cookie).expect(200);
    expect(first.body).toEqual({ id: importedUserId(ada.id) });
    expect(cleared(first, '__Secure-better-auth.session_token')).toBe(true);
    const [session] = await t!.app.get(SessionService).listForUser(importedUserId(ada.id));
    expect(Date.now() - session!.authenticatedAt).toBeGreaterThan(days(3));
    await get(ada.cookie).expect(401);
    await get(pair(ours(first)!)).expect(200);
    await get(eve.cookie).expect(401); // banned
    await get(mallory.cookie).expect(401); // an administrator in her place
    await get(bob.cookie.replace('session_token=', 'session_token=x')).expect(401);
    const login = (email: string) => request(t!.url).post('/auth/login').send({ email, password: PASSWORD });
    await login('bob@example.com').expect(200);
    await login('eve@example.com').expect(401);
  });

  it('H44: passport-jwt: an old token is exchanged for one of ours, once of 20 times at once, and is no session itself', async () => {
    db = await createTestDatabase();
    await db.query('CREATE SCHEMA old');
    await db.query('CREATE TABLE old.people (id text PRIMARY KEY, email text)');
    await db.query(`INSERT INTO old.people VALUES ('ada', 'ada@example.com'), ('bob', 'bob@example.com')`);
    const ran = await latchkey(['import', 'passport-jwt', '--table', 'old.people'], { DATABASE_URL: db.url });
    expect(ran).toMatchObject({ status: 0, err: '', out: expect.stringContaining('Imported 2 of 2 accounts') });
    const made = { secret: OLD_SECRET, issuer: 'old', users: ['ada', 'bob', 'nobody'] };
    const [ada, bob, nobody] = (await oldSystem('passport-jwt', made)) as [OldLogin, OldLogin, OldLogin];
    const [foreign] = (await oldSystem('passport-jwt', { ...made, issuer: 'other' })) as [OldLogin];
    const [forged] = (await oldSystem('passport-jwt', { ...made, secret: 'another one' })) as [OldLogin];
    await start(passportJwt({ secret: OLD_SECRET, issuer: 'old' }));
    const exchange = ({ token }: Pick<OldLogin, 'token'>) =>
      request(t!.url).post('/exchange').set('Authorization', `Bearer ${token}`);
    const whoami = (token: string) => request(t!.url).get('/whoami').set('Authorization', `Bearer ${token}`);
    await whoami(ada.token).expect(401);
    const answers = await Promise.all(Array.from({ length: 20 }, () => exchange(ada)));
    const tokens = new Set(answers.filter(({ status }) => status === 201).map(({ body }) => (body as OldLogin).token));
    expect(tokens.size).toBe(1);
    expect(await count('sessions')).toBe(1);
    expect((await whoami([...tokens][0]!).expect(200)).body).toEqual({ id: importedUserId('ada') });
    // The token may have been a refreshed one, which proves nothing.
    const [exchanged] = await t!.app.get(SessionService).listForUser(importedUserId('ada'));
    expect(Date.now() - exchanged!.authenticatedAt).toBeGreaterThan(hours(20));
    for (const token of [ada, nobody, foreign, forged, { token: 'x' }]) await exchange(token).expect(401);
    // Logged out with it before it was exchanged.
    await request(t!.url).post('/auth/logout').set('Authorization', `Bearer ${bob.token}`).expect(200);
    await exchange(bob).expect(401);
    const [late] = (await oldSystem('passport-jwt', { ...made, users: ['bob'] })) as [OldLogin];
    t!.clock.advance(minutes(61));
    await exchange(late).expect(401);
  });

  it('users of your own keep their ids', async () => {
    db = await createTestDatabase();
    const source: LegacySessionSource = {
      name: 'elsewhere',
      cookies: [{ name: 'old' }],
      find: async (credential) => ({ userId: credential, authenticatedAt: null }),
      consume: async (credential, { spend, until }) => spend(credential, until),
    };
    const asked: string[] = [];
    class Customers extends UserDirectory {
      override async findById(id: string) {
        asked.push(id);
        return null;
      }
      override findByLogin = async () => null;
      override verifyCredentials = async () => null;
      override async invalidateTokens() {
        return true;
      }
    }
    t = await startTestApp({
      url: db.url,
      platform,
      controllers: [NotesController],
      auth: { users: Customers, legacySessions: { sources: [source], until: new Date(Date.UTC(2025, 1, 1)) } },
    });
    asked.length = 0; // the boot has asked too
    await get('old=42').expect(401);
    expect(asked).toEqual(['42']);
  });
});

describe('legacySessions', () => {
  it('an outage is 503, and takes neither the old session nor its cookie; back, it is taken over', async () => {
    const postgres = await startOwnPostgres();
    try {
      const made = (await oldSystem('express-session', {
        databaseUrl: postgres.server.url,
        secret: OLD_SECRET,
        users: ['1'],
      })) as [OldLogin, OldLogin];
      t = await startTestApp({
        url: postgres.server.url,
        controllers: [NotesController],
        auth: {
          legacySessions: { sources: [expressSessions({ secret: OLD_SECRET })], until: new Date(Date.now() + days(1)) },
        },
        startAt: Date.now(),
      });
      await t.db.query(`INSERT INTO users (id, email, password_hash) VALUES ($1, 'ada@example.com', '!')`, [
        importedUserId('1'),
      ]);
      // In the middle of it: the row is consumed, and then the session cannot be opened.
      await t.db.query('ALTER TABLE sessions RENAME TO away');
      const cookie = made[1].cookie;
      const failed = await request(t.url).get('/whoami').set('Cookie', cookie);
      expect(failed.status).toBe(503);
      expect(setCookies(failed)).toEqual([]);
      await t.db.query('ALTER TABLE away RENAME TO sessions');
      await postgres.stop();
      for (const ask of [request(t.url).get('/whoami'), request(t.url).post('/auth/logout')]) {
        const answer = await ask.set('Cookie', cookie).expect(503);
        expect(setCookies(answer)).toEqual([]);
      }
      await postgres.start();
      const back = await request(t.url).get('/whoami').set('Cookie', cookie).retry(5);
      expect(back.status).toBe(200);
    } finally {
      await t?.close();
      t = undefined;
      await postgres.remove();
    }
  });

  it('the boot refuses an end that is missing or more than 400 days away, and a table that is not there', async () => {
    const sources = [expressSessions({ secret: OLD_SECRET })];
    const until = new Date('2025-02-01');
    expect(mistakesOf(withSecrets({ legacySessions: { sources, until } }))).toEqual([]);
    const wrong = (options: object, extras = {}) => mistakesOf(withSecrets(options), undefined, extras);
    expect(wrong({ legacySessions: { sources } })).toEqual([
      expect.stringContaining('legacySessions.until must be a date'),
    ]);
    expect(wrong({ legacySessions: { sources, until: new Date('soon') } })).toHaveLength(1);
    expect(wrong({ legacySessions: { sources: [], until } })).toEqual([expect.stringContaining('expressSessions(')]);
    expect(wrong({ legacySessions: { sources: [{}], until } })).toHaveLength(1);
    expect(wrong({ legacySessions: { sources, until }, session: { scheme: 'signed-cookie' } })).toHaveLength(1);
    expect(wrong({ legacySessions: { sources, until } }, { lacks: () => true })).toEqual([
      expect.stringContaining('invalidateTokens'),
    ]);
    expect(wrong({ legacySessions: { sources, until }, cookie: { name: 'connect.sid', hostPrefix: false } })).toEqual([
      expect.stringContaining('another cookie.name'),
    ]);
    expect(
      wrong({ legacySessions: { sources: [passportJwt({ secret: 'x' })], until }, jwt: { sessions: true } }),
    ).toEqual([expect.stringContaining('jwt.sessions')]);
    expect(() => expressSessions({ secret: [] })).toThrow('needs the secret');
    expect(() => passportJwt({ secret: '' })).toThrow('needs the secret');
    const boot = (end: Date) => startTestApp({ auth: { legacySessions: { sources, until: end } } });
    await expect(boot(new Date(Date.UTC(2025, 0, 1) + days(400) + seconds(1)))).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining('more than 400 days'),
    });
    await expect(boot(until)).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/express-session.*relation "session" does not exist.*grant SELECT and DELETE/),
    });
  });
});

describe('latchkey import', () => {
  const run = (...args: string[]) => latchkey(['import', ...args], { DATABASE_URL: db!.url });

  it('refuses what conflicts, by name, and imports nothing; a second factor needs a word', async () => {
    db = await createTestDatabase();
    await db.query(`INSERT INTO users (email, password_hash) VALUES ('ada@example.com', 'x')`);
    await db.query('CREATE TABLE people (id integer PRIMARY KEY, email text)');
    await db.query(`INSERT INTO people VALUES (1, 'ADA@example.com'), (2, 'bob@example.com'), (3, 'Bob@example.com'),
      (4, 'no mailbox'), (5, 'fine@example.com')`);
    const refused = await run('passport-jwt', '--table', 'people');
    expect(refused).toMatchObject({ status: 1, out: '' });
    expect(refused.err).toContain('3 accounts cannot be');
    for (const named of [
      `"1": ada@example.com is another`,
      `"3": bob@example.com`,
      `"4": its address is not one mailbox`,
    ]) {
      expect(refused.err).toContain(named);
    }
    expect(await db.query('SELECT email FROM users')).toEqual([{ email: 'ada@example.com' }]);
    expect((await run('passport-jwt', '--table', 'gone')).err).toContain('relation "gone" does not exist');
    expect(await run('passport-jwt')).toMatchObject({ status: 2 });

    await db.query(
      'CREATE TABLE "user" (id text PRIMARY KEY, email text, "emailVerified" boolean, "createdAt" timestamptz, "twoFactorEnabled" boolean)',
    );
    await db.query('CREATE TABLE account ("userId" text, "providerId" text, password text)');
    await db.query('CREATE TABLE session ("expiresAt" timestamptz)');
    await db.query(`INSERT INTO "user" VALUES ('k', 'kim@example.com', true, '2024-01-01Z', true)`);
    const second = await run('better-auth');
    expect(second).toMatchObject({ status: 1, err: expect.stringContaining('--without-second-factors') });
    expect(await run('better-auth', '--without-second-factors')).toMatchObject({ status: 0 });
    expect(
      await db.query(`SELECT id, password_hash, email_verified_at IS NOT NULL AS verified, created_at FROM users
      WHERE email = 'kim@example.com'`),
    ).toEqual([{ id: importedUserId('k'), password_hash: '!', verified: true, created_at: new Date('2024-01-01Z') }]);
  });

  it('more accounts than fit in a batch', async () => {
    db = await createTestDatabase();
    await db.query('CREATE TABLE people (id integer PRIMARY KEY, email text)');
    await db.query(`INSERT INTO people SELECT n, 'user' || n || '@example.com' FROM generate_series(1, 2500) n`);
    expect(JSON.parse((await run('passport-jwt', '--table', 'people', '--json')).out)).toMatchObject({
      imported: 2500,
    });
    expect(await db.query('SELECT count(*)::int AS n FROM users')).toEqual([{ n: 2500 }]);
  });
});
