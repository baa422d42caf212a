import { createHmac } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { authSchemaFor, days, hours, minutes, UserDirectory, type AuthOptions, type AuthUser } from 'nestjs-latchkey';
import request from 'supertest';
import { createUser, PLATFORMS, startTestApp, type TestApp, type TestAppOptions } from '../support/app.js';
import { cleanupsAfterEach } from '../support/cleanups.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { codeBlocks, page } from '../support/docs.js';

const FOLDER = resolve('test/doc-moving');
const T0 = Date.UTC(2025, 0, 1);
const vectors = (name: string) => JSON.parse(readFileSync(`test/vectors/${name}.json`, 'utf8')) as unknown;
const at = (instant: number) => new Date(instant).toISOString();

/** What the page says of one system: its options and its SQL, as written. */
async function said(seed: string): Promise<{ options: Partial<AuthOptions>; sql: string }> {
  const section = page('docs/moving-in.md')
    .split(/^## /m)
    .find((text) => text.includes(`(seed ${seed})\n`))!;
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(`${FOLDER}/options-${seed}.ts`, codeBlocks(section, 'ts')[0]!);
  const { options } = (await import(`${FOLDER}/options-${seed}.ts`)) as { options: Partial<AuthOptions> };
  return { options, sql: codeBlocks(section, 'sql').join('\n') };
}

/** The accounts that the source system had in its configuration; one of them has been disabled since. */
class ConfiguredUsers extends UserDirectory {
  override async findById(id: string): Promise<AuthUser | null> {
    if (id === 'alice') return { id, email: 'alice@example.com' };
    return id === 'jürgen' ? { id, email: 'juergen@example.com', disabledAt: 1 } : null;
  }
  override findByLogin(login: string) {
    return this.findById(login);
  }
  override async verifyCredentials() {
    return null;
  }
}

describe.each(PLATFORMS)('moving in, from the rows of the source system to a request, on %s', (platform) => {
  const cleanups = cleanupsAfterEach();
  let t: TestApp;
  let db: TestDatabase;
  afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

  const database = async (options?: { migrated: boolean }) => {
    db = await createTestDatabase(options);
    cleanups.push(() => db.drop());
  };
  const start = async (options: TestAppOptions) => {
    t = await startTestApp({ url: db.url, platform, ...options });
    cleanups.push(() => t.close());
    t.clock.set(T0);
    return t;
  };
  const session = (headers: Record<string, string>) => request(t.url).get('/auth/session').set(headers);

  it('H44: seed 000, itsdangerous cookies: alice stays logged in; disabled and removed users do not, nor does a logout come back', async () => {
    const { vectors: cookies } = vectors('itsdangerous') as {
      vectors: { name: string; secret: string; token: string }[];
    };
    const [alice, juergen, removed] = ['identity-minimal', 'identity-non-ascii', 'identity-long-compressed'].map(
      (name) => cookies.find((vector) => vector.name === name)!,
    );
    await database({ migrated: false });
    const { options } = await said('000');
    const { entities, migrations } = authSchemaFor({ userId: 'text' });
    await start({
      auth: { ...options, secrets: [alice!.secret], users: ConfiguredUsers },
      entities: [...entities],
      migrations: [...migrations],
    });
    const cookie = (token: string) => ({ Cookie: `reflow_session=${token}` });
    await session(cookie(alice!.token)).expect(200);
    await session(cookie(juergen!.token)).expect(401);
    await session(cookie(removed!.token)).expect(401);
    await request(t.url).post('/auth/logout').set(cookie(alice!.token)).expect(200);
    await session(cookie(alice!.token)).expect(401);
  });

  it('H44: seed 001, JWTs: ada stays logged in; logged-out tokens, those before a cutoff and disabled users stay out', async () => {
    const secret = 'test-master-secret-that-is-at-least-32-characters-long';
    const [ada, bob, eve] = ['1', '2', '3'].map((digit) => `00000000-0000-4000-8000-00000000000${digit}`);
    const jwt = (sub: string, jti: string, iat: number) => {
      const key = createHmac('sha256', secret).update('session').digest();
      const claims = { sub, jti, iat: iat / 1000, exp: (T0 + hours(1)) / 1000, purpose: 'session' };
      const signed = [{ alg: 'HS256', typ: 'JWT' }, claims]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.');
      return { Authorization: `Bearer ${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}` };
    };
    await database();
    await db.query('CREATE SCHEMA old');
    await db.query(`CREATE TABLE old.users (id varchar(36) PRIMARY KEY, email varchar(320) NOT NULL UNIQUE,
      hashed_password varchar(255), is_active boolean NOT NULL, tokens_invalidated_after timestamptz)`);
    await db.query('CREATE TABLE old.token_blacklist (jti varchar(64) UNIQUE NOT NULL, exp timestamptz NOT NULL)');
    await db.query(
      `INSERT INTO old.users VALUES ($1, 'ada@example.com', 'x', true, NULL), ($2, 'bob@example.com', NULL, true, $4),
        ($3, 'eve@example.com', 'x', false, NULL)`,
      [ada, bob, eve, at(T0 - minutes(1))],
    );
    await db.query(`INSERT INTO old.token_blacklist VALUES ('logged-out', $1)`, [at(T0 + hours(1))]);
    const { options, sql } = await said('001');
    await db.query(sql);

    await start({ auth: { ...options, secrets: [secret] } });
    await session(jwt(ada!, 'a', T0 - minutes(2))).expect(200);
    await session(jwt(ada!, 'logged-out', T0 - minutes(2))).expect(401);
    await session(jwt(bob!, 'b', T0 - minutes(1))).expect(401);
    await session(jwt(bob!, 'c', T0)).expect(200);
    await session(jwt(eve!, 'd', T0)).expect(401);
  });

  it('H44: seed 002, a session table: sessions of any age go on, for 90 days; expired and deleted ones stay ended', async () => {
    const cookie = (byte: number) => ({ Cookie: `session=${Buffer.alloc(32, byte).toString('base64url')}` });
    await database({ migrated: false });
    await db.query('CREATE EXTENSION citext');
    await db.query(`CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email citext NOT NULL UNIQUE,
      password_hash text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now())`);
    await db.query(`CREATE TABLE sessions (id text PRIMARY KEY, user_id uuid NOT NULL REFERENCES users (id),
      created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL)`);
    await db.query(`INSERT INTO users (email, password_hash) VALUES ('ada@example.com', 'x')`);
    // The SQL of the page reads the server's clock, so this test does too.
    const now = Date.now();
    for (const [byte, created, expires] of [
      [1, now - days(1), now + days(29)],
      [2, now - days(800), now + days(20)],
      [3, now - days(40), now - days(10)],
    ] as const)
      await db.query(
        `INSERT INTO sessions SELECT encode(sha256($1), 'hex'), id, $2::timestamptz, $3::timestamptz FROM users`,
        [Buffer.alloc(32, byte), at(created), at(expires)],
      );
    const { options, sql } = await said('002');
    await start({ auth: options });
    t.clock.set(now);
    await session(cookie(2)).expect(401); // what the SQL is for
    await db.query(sql);
    await session(cookie(1)).expect(200);
    await session(cookie(2)).expect(200);
    await session(cookie(3)).expect(401);
    await session(cookie(4)).expect(401);

    for (const day of [15, 40, 65, 85]) {
      t.clock.set(now + days(day));
      await session(cookie(2)).expect(200);
    }
    t.clock.set(now + days(91));
    await session(cookie(2)).expect(401);
  });

  it('H44: seed 004, signed tokens: the session goes on to its own end and no further; expired and deleted ones stay ended', async () => {
    const { valid, previous_secret } = vectors('bangui-token') as {
      previous_secret: string;
      valid: { secret: string; signed_token: string; signed_with_previous: string; db_token_hash: string }[];
    };
    const [live, expired, loggedOut] = valid;
    await database();
    await db.query('CREATE SCHEMA old');
    await db.query(`CREATE TABLE old.sessions (id serial PRIMARY KEY, token_hash text NOT NULL UNIQUE,
      created_at text NOT NULL, expires_at text NOT NULL)`);
    await db.query(
      `INSERT INTO old.sessions (token_hash, created_at, expires_at) VALUES ($1, '2024-12-31T23:50:00+00:00', '2025-01-01T00:50:00+00:00'),
        ($2, '2024-12-31T22:50:00', '2024-12-31T23:50:00')`,
      [live!.db_token_hash, expired!.db_token_hash],
    );
    const { options, sql } = await said('004');
    await start({ auth: { ...options, secrets: [live!.secret, previous_secret] } });
    await createUser(t.app, 'admin@example.com');
    await db.query(`SET TimeZone = 'Asia/Tokyo'; ${sql}`); // the texts are in UTC, wherever the server is
    const cookie = (token: string) => ({ Cookie: `bangui_session=${token}` });
    t.clock.set(T0);
    await session(cookie(live!.signed_token)).expect(200);
    await session(cookie(live!.signed_with_previous)).expect(200);
    await session(cookie(expired!.signed_token)).expect(401);
    await session(cookie(loggedOut!.signed_token)).expect(401);
    t.clock.set(T0 + minutes(50) - 1);
    await session(cookie(live!.signed_token)).expect(200);
    t.clock.set(T0 + minutes(50));
    await session(cookie(live!.signed_token)).expect(401);
    expect(await db.query('SELECT count(*)::int AS n FROM sessions')).toEqual([{ n: 2 }]);
  });
});
