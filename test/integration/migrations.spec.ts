import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  days,
  hours,
  authEntities,
  authMigrations,
  authSchemaFor,
  EphemeralTokenService,
  RateLimitService,
  SessionService,
  TokenRevocationService,
} from 'nestjs-latchkey';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { startTestApp } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('migrations', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase({ migrated: false });
  });
  afterAll(() => db?.drop());

  const connect = async (entities: DataSourceOptions['entities'], migrations: DataSourceOptions['migrations']) =>
    new DataSource({ type: 'postgres', url: db.url, entities, migrations }).initialize();
  const objects = () =>
    db.query(`SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ '^(migrations|PK_)'
      UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'latchkey%' ORDER BY 1`);

  it.each([
    ['our users', authEntities, authMigrations],
    ...(['uuid', 'integer', 'bigint', 'text'] as const).map((userId) => {
      const { entities, migrations } = authSchemaFor({ userId });
      return [`a host's users by ${userId}`, entities, migrations] as const;
    }),
  ])('run, leave nothing to generate, revert without a trace, and run again: %s', async (_, entities, migrations) => {
    const dataSource = await connect([...entities], [...migrations]);
    const before = await objects();
    await dataSource.runMigrations();
    const after = await objects();
    expect(after.length).toBeGreaterThan(before.length);
    expect((await dataSource.driver.createSchemaBuilder().log()).upQueries).toEqual([]);

    for (const _migration of migrations) await dataSource.undoLastMigration();
    expect(await objects()).toEqual(before);
    await dataSource.runMigrations();
    expect(await objects()).toEqual(after);
    for (const _migration of migrations) await dataSource.undoLastMigration();
    await dataSource.destroy();
  });

  it('take over the tables of a source system with their rows, and give them back on revert', async () => {
    const own = await createTestDatabase({ migrated: false });
    await own.query('CREATE EXTENSION citext');
    await own.query(`CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email citext NOT NULL UNIQUE,
      password_hash text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now())`);
    await own.query(`CREATE TABLE sessions (id text PRIMARY KEY, user_id uuid NOT NULL REFERENCES users (id),
      created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL, ip text)`);
    await own.query(`CREATE TABLE auth_ephemeral_tokens (id serial PRIMARY KEY, token varchar(128) NOT NULL UNIQUE,
      token_type varchar(20) NOT NULL, username varchar(150), provider_id integer, nonce varchar(128),
      code_verifier varchar(128), challenge_id varchar(128), expires_at timestamptz NOT NULL, created_at timestamptz NOT NULL)`);
    await own.query(`CREATE TABLE auth_rate_limit_events (id serial PRIMARY KEY, username varchar(150) NOT NULL,
      event_type varchar(20) NOT NULL, occurred_at timestamptz NOT NULL)`);
    await own.query('CREATE TABLE revoked_tokens (jti varchar(64) PRIMARY KEY, exp timestamptz NOT NULL)');
    await own.query(`INSERT INTO revoked_tokens VALUES ('old', 'infinity')`);
    await own.query(`INSERT INTO users (email, password_hash) VALUES ('ada@example.com', 'x')`);
    const raw = Buffer.alloc(32, 7);
    await own.query(
      `INSERT INTO sessions (id, user_id, expires_at) SELECT encode(sha256($1), 'hex'), id, 'infinity' FROM users`,
      [raw],
    );
    const columns = () =>
      own.query(`SELECT table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name <> 'migrations' ORDER BY 1, 2`);
    const before = await columns();
    const indexes = () =>
      own.query(
        `SELECT relname AS name FROM pg_class WHERE relname LIKE 'sessions%idx' AND relname <> 'sessions_user_id_idx'`,
      );
    await own.query('CREATE INDEX sessions_expired_idx ON sessions (expires_at)');

    const t = await startTestApp({ url: own.url });
    t.clock.set(Date.now());
    expect(await t.app.get(SessionService).lookup(raw.toString('base64url'))).toMatchObject({
      user: { email: 'ada@example.com' },
    });
    expect(await t.app.get(TokenRevocationService).isRevoked('old')).toBe(true);
    const tokens = t.app.get(EphemeralTokenService);
    const token = await tokens.issue('password_reset', { username: 'ada@example.com' });
    expect(await tokens.consume('password_reset', token)).not.toBeNull();
    expect((await t.app.get(RateLimitService).consume('2fa_attempt', 'ada@example.com')).remaining).toBe(4);
    await t.close();

    const dataSource = await new DataSource({
      type: 'postgres',
      url: own.url,
      migrations: authMigrations,
    }).initialize();
    for (const _migration of authMigrations) await dataSource.undoLastMigration();
    await dataSource.destroy();
    expect(await columns()).toEqual(before);
    expect(await indexes()).toEqual([{ name: 'sessions_expired_idx' }]);
    expect(await own.query('SELECT email FROM users')).toEqual([{ email: 'ada@example.com' }]);
    await own.drop();
  });

  it('give sessions of an older table the column of "remember me": they go on, also with processes of that version', async () => {
    const own = await createTestDatabase({ migrated: false });
    const functions = () =>
      own.query(`SELECT oid::regprocedure::text AS name, prosrc FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'latchkey%session' ORDER BY 1`);
    const columns = () =>
      own.query(`SELECT column_name AS name FROM information_schema.columns
        WHERE table_name = 'sessions' AND table_schema = 'public' ORDER BY 1`);
    const dataSource = await new DataSource({
      type: 'postgres',
      url: own.url,
      migrations: authMigrations,
    }).initialize();
    const toBefore = async () => {
      const names = authMigrations.map((Migration) => String(new Migration().name));
      const first = names.findIndex((name) => name.startsWith('RememberSessions'));
      for (const _migration of names.slice(first)) await dataSource.undoLastMigration();
    };
    await dataSource.runMigrations();
    await toBefore();
    const before = { functions: await functions(), columns: await columns() };
    expect(before.columns).not.toContainEqual({ name: 'remembered' });
    await own.query(`INSERT INTO users (email, password_hash) VALUES ('ada@example.com', 'x')`);
    const raw = Buffer.alloc(32, 7);
    await own.query(
      `INSERT INTO sessions (id, user_id, expires_at) SELECT encode(sha256($1), 'hex'), id, 'infinity' FROM users`,
      [raw],
    );
    // Every migration runs once more, on the tables that are there.
    await own.query('DELETE FROM migrations');

    const session = { ttl: hours(12), extendBelow: hours(6), remembered: { ttl: days(30) } };
    const t = await startTestApp({ url: own.url, auth: { session } });
    t.clock.set(Date.now());
    const sessions = t.app.get(SessionService);
    const found = (await sessions.lookup(raw.toString('base64url')))!;
    expect(found.session).not.toHaveProperty('remembered');
    const rotated = (await sessions.rotate(found.session, found.user.id))!;
    expect(rotated.session).not.toHaveProperty('remembered');
    expect(rotated.session.expiresAt).toBe(t.clock.now() + hours(12));
    const [added] = await own.query(
      `SELECT latchkey_add_session('of the version before', $1, now(), '1 hour', '2 hours', now(), NULL, NULL, 25, false,
        NULL) AS added`,
      [found.user.id],
    );
    expect(added).toMatchObject({ added: expect.any(String) });
    await own.query(
      `SELECT latchkey_open_session('its successor', $1, now() + interval '45 s', '1 hour', '2 hours', NULL, NULL, NULL,
        'of the version before', 25, false, NULL, NULL, NULL, '1 hour')`,
      [found.user.id],
    );
    // H34: by the database's clock, although that process told its own.
    const rotations = await own.query(
      `SELECT rotated_at <= clock_timestamp() AS timed FROM sessions WHERE id = 'of the version before'`,
    );
    expect(rotations).toEqual([{ timed: true }]);
    await own.query(`UPDATE sessions SET aal = 2, amr = '{password,totp}' WHERE id = 'its successor'`);
    await own.query(
      `SELECT latchkey_open_session('its second', $1, now() + interval '46 s', '1 hour', '2 hours', NULL, NULL, NULL,
        'its successor', 25, false, NULL, NULL, NULL, '1 hour', NULL)`,
      [found.user.id],
    );
    const proofs = await own.query(
      `SELECT aal, amr FROM sessions WHERE id LIKE '%version%' OR id = 'its second' ORDER BY id`,
    );
    expect(proofs).toEqual([
      { aal: 2, amr: ['password', 'totp'] },
      { aal: null, amr: null },
    ]);
    await t.close();

    await toBefore();
    await dataSource.destroy();
    expect({ functions: await functions(), columns: await columns() }).toEqual(before);
    await own.drop();
  });

  it('the tables have the columns of the seed, by name and type', async () => {
    const dataSource = await connect(authEntities, authMigrations);
    await dataSource.runMigrations();
    const columns = await db.query<{ column: string }>(
      `SELECT table_name || '.' || column_name || ' ' || udt_name || CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END AS column
       FROM information_schema.columns WHERE table_name IN ('users', 'sessions')`,
    );
    expect(columns.map(({ column }) => column)).toEqual(
      expect.arrayContaining([
        'users.id uuid not null',
        'users.email citext not null',
        'users.password_hash text not null',
        'users.created_at timestamptz not null',
        'users.updated_at timestamptz not null',
        'sessions.id text not null',
        'sessions.user_id uuid not null',
        'sessions.created_at timestamptz not null',
        'sessions.expires_at timestamptz not null',
      ]),
    );
    await db.query(`INSERT INTO users (email, password_hash) VALUES ('Ada@example.com', 'x')`);
    await expect(
      db.query(`INSERT INTO users (email, password_hash) VALUES ('aDA@example.com', 'x')`),
    ).rejects.toMatchObject({
      code: '23505',
    });
    await dataSource.destroy();
  });
});
