import { beforeAll, describe, expect, it, jest } from '@jest/globals';
import { authSchemaFor, AuthError, type AuthSchemaOptions } from 'nestjs-latchkey';
import { startTestApp } from '../support/app.js';
import { everything, migrate, on, standard, useEverything } from '../support/schema.js';

// TypeORM prints each refusal.
beforeAll(() => void jest.spyOn(console, 'log').mockImplementation(() => undefined));

describe('names of tables', () => {
  const tables = {
    users: 'auth_users',
    sessions: 'Auth_sessions',
    ephemeralTokens: 'auth_tokens',
    rateLimitEvents: 'auth_events',
    revokedTokens: 'auth_revoked',
    jwtSessions: 'auth_jwts',
    auditEvents: 'auth_audit',
  };
  const foreign = `CREATE TABLE users (id integer CONSTRAINT users_pkey PRIMARY KEY, email text CONSTRAINT users_email_key UNIQUE);
    CREATE TABLE sessions (sid text CONSTRAINT sessions_pkey PRIMARY KEY, sess json NOT NULL);
    CREATE INDEX sessions_user_id_idx ON sessions (sid)`;

  it('H39: other names stand beside tables of the host, everything works, and nothing is left to generate', () =>
    on(foreign, async (own) => {
      const before = await everything(own);
      const schema = authSchemaFor({ tables });
      const dataSource = await migrate(own.url, schema, { installExtensions: true });
      expect((await dataSource.driver.createSchemaBuilder().log()).upQueries).toEqual([]);
      await useEverything({
        url: own.url,
        entities: schema.entities,
        migrations: schema.migrations,
        auth: { tables, audit: { enabled: true }, cache: { enabled: true } },
      });
      for (const _ of schema.migrations) await dataSource.undoLastMigration();
      await dataSource.destroy();
      expect(await everything(own)).toEqual(before);
    }));

  it.each(['uuid', 'integer', 'bigint', 'text'] as const)('H39: with a host’s users by %s, too', (userId) =>
    on(foreign, async (own) => {
      const dataSource = await migrate(own.url, authSchemaFor({ userId, tables }));
      expect((await dataSource.driver.createSchemaBuilder().log()).upQueries).toEqual([]);
      await dataSource.destroy();
    }),
  );

  it.each([
    ['a name that is none', { users: 'auth.users' }, 'tables.users'],
    ['a name that PostgreSQL would cut', { sessions: 'x'.repeat(41) }, 'tables.sessions'],
    ['one name for two', { users: 'accounts', sessions: 'accounts' }, 'the same name'],
    ['an unknown table', { tokens: 'x' }, 'tables.tokens'],
  ])('refuses %s', (_, names, mistake) => {
    expect(() => authSchemaFor({ tables: names as AuthSchemaOptions['tables'] })).toThrow(mistake);
  });
});

describe('what stands in the way is refused before anything is altered', () => {
  const citext = 'CREATE EXTENSION IF NOT EXISTS citext;';
  const users = (columns: string) => `${citext} CREATE TABLE users (${columns})`;
  it.each<[string, string, RegExp[]]>([
    [
      'users with columns of another name',
      users('id uuid PRIMARY KEY, email text NOT NULL, "passwordHash" text NOT NULL'),
      [/no column password_hash/, /email is text, not citext/, /authSchemaFor\(\{ userId: 'uuid' \}\)/],
    ],
    ['users by number', users('id serial PRIMARY KEY, email citext'), [/id is int4, not uuid/, /userId: 'integer'/]],
    [
      'users without a key',
      users('id uuid, email citext, password_hash text, created_at timestamptz, updated_at timestamptz'),
      [/users: no primary key/],
    ],
    [
      'users whose column of ours is of another type',
      users(
        'id uuid PRIMARY KEY, email citext, password_hash text, created_at timestamptz, updated_at timestamptz, disabled_at boolean',
      ),
      [/disabled_at is bool, not timestamptz/],
    ],
    [
      'sessions of express-session',
      'CREATE TABLE sessions (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL)',
      [
        /sessions: no column id; no column user_id/,
        /sess, unknown here, is NOT NULL/,
        /tables: \{ sessions: 'latchkey_sessions' \}/,
      ],
    ],
    [
      'sessions without a time zone',
      'CREATE TABLE sessions (id text PRIMARY KEY, user_id uuid NOT NULL, created_at timestamp NOT NULL, expires_at timestamp NOT NULL)',
      [/created_at is timestamp, not timestamptz/],
    ],
    [
      'sessions of users by number',
      'CREATE TABLE sessions (id text PRIMARY KEY, user_id bigint NOT NULL, created_at timestamptz, expires_at timestamptz)',
      [/user_id is int8, not uuid/, /userId: 'bigint'/],
    ],
    [
      'a foreign list of tokens',
      'CREATE TABLE revoked_tokens (token text PRIMARY KEY)',
      [/revoked_tokens: no column jti/],
    ],
    ['foreign audit events', 'CREATE TABLE auth_audit_events (id uuid PRIMARY KEY)', [/auth_audit_events: id is uuid/]],
  ])('H39: %s', (_, sql, remedies) =>
    on(sql, async (own) => {
      const before = await everything(own);
      // Each migration in a transaction of its own: the first must not have run when the second would refuse.
      const refused = await migrate(own.url, standard, { migrationsTransactionMode: 'each' }).catch(
        (error: unknown) => error,
      );
      expect(refused).toBeInstanceOf(AuthError);
      const { code, message } = refused as AuthError;
      expect(code).toBe('INVALID_CONFIG');
      for (const remedy of remedies) expect(message).toMatch(remedy);
      expect(await everything(own)).toEqual(before);
    }),
  );

  it('H39: entityPrefix, by the migrations and at boot where they have run', () =>
    on('', async (own) => {
      const before = await everything(own);
      await expect(migrate(own.url, standard, { entityPrefix: 'app_' })).rejects.toThrow(/entityPrefix 'app_'/);
      expect(await everything(own)).toEqual(before);
      await (await migrate(own.url, standard, { installExtensions: true })).destroy();
      await expect(startTestApp({ url: own.url, dataSource: { entityPrefix: 'app_' } })).rejects.toThrow(
        /entityPrefix 'app_'/,
      );
    }));
});
