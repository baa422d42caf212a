import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  authEntities,
  authMigrations,
  authSchemaFor,
  AuthError,
  EphemeralTokenService,
  PostgresUserDirectory,
  RateLimitService,
  SessionService,
  TokenRevocationService,
  type AuthSchema,
  type AuthSchemaOptions,
} from 'nestjs-latchkey';
import { InvalidationChannel } from 'nestjs-latchkey/engine';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { until } from '../support/heard.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startTestApp, type TestAppOptions } from '../support/app.js';

let db: TestDatabase;
beforeAll(async () => {
  // TypeORM prints each refusal.
  jest.spyOn(console, 'log').mockImplementation(() => undefined);
  db = await createTestDatabase({ migrated: false });
});
afterAll(() => db?.drop());

const standard: AuthSchema = { entities: authEntities, migrations: authMigrations };

/** A database for one case, on which the migrations then run. */
async function on<T>(sql: string, work: (own: TestDatabase) => Promise<T>): Promise<T> {
  const own = await createTestDatabase({ migrated: false });
  try {
    if (sql) await own.query(sql);
    return await work(own);
  } finally {
    await own.drop();
  }
}

async function migrate(
  url: string,
  { entities, migrations }: AuthSchema = standard,
  options: Partial<DataSourceOptions> = {},
): Promise<DataSource> {
  const base = {
    type: 'postgres',
    url,
    entities,
    migrations,
    installExtensions: false,
    ...options,
  } as DataSourceOptions;
  const dataSource = await new DataSource(base).initialize();
  try {
    await dataSource.runMigrations();
    return dataSource;
  } catch (error) {
    await dataSource.destroy();
    throw error;
  }
}

const everything = (own: TestDatabase) =>
  own.query(`SELECT relname AS name, relkind AS kind, (SELECT array_agg(attname || ' ' || atttypid::regtype ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)::text AS columns
      FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relname !~ '^migrations|^PK_'
    UNION ALL SELECT proname, 'f', prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ 'latchkey' ORDER BY 1`);

/** One of everything that the stores do. */
async function useEverything(options: Omit<TestAppOptions, 'url'> & { url: string }): Promise<void> {
  const t = await startTestApp(options);
  try {
    const users = t.app.get(PostgresUserDirectory);
    const ada = await users.create(`${randomBytes(4).toString('hex')}@example.com`, 'correct horse battery');
    expect(await users.findByLogin(ada.email.toUpperCase())).toMatchObject({ id: ada.id });
    const sessions = t.app.get(SessionService);
    const { token, session } = await sessions.create(ada.id);
    expect(await sessions.lookup(token)).toMatchObject({ user: { id: ada.id } });
    const rotated = await sessions.rotate(session, ada.id);
    expect(await sessions.listForUser(ada.id)).toHaveLength(1);
    const tokens = t.app.get(EphemeralTokenService);
    const reset = await tokens.issue('password_reset', { username: ada.email });
    expect(await tokens.consume('password_reset', reset)).toEqual({ username: ada.email });
    const limits = t.app.get(RateLimitService);
    expect((await limits.consume('2fa_attempt', ada.email)).allowed).toBe(true);
    const revocations = t.app.get(TokenRevocationService);
    await revocations.revoke('some-jti', Date.now() + 60_000);
    expect(await revocations.isRevoked('some-jti')).toBe(true);
    expect(await users.setPassword(ada.id, 'another horse battery')).toBe(true);
    expect(rotated && (await sessions.lookup(rotated.token))).toBeNull();
  } finally {
    await t.close();
  }
}

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

describe('schemas', () => {
  it('H37: dropSchema with migrationsRun boots twice', () =>
    on('', async (own) => {
      for (let boot = 1; boot <= 2; boot++) {
        const options: DataSourceOptions = {
          type: 'postgres',
          url: own.url,
          entities: authEntities,
          migrations: authMigrations,
          dropSchema: true,
          migrationsRun: true,
        };
        await (await new DataSource(options).initialize()).destroy();
      }
      await useEverything({ url: own.url });
    }));

  it.each(['auth', 'Auth', 'my-auth', 'two words', 'x'.repeat(63)])(
    'H38: in schema %j, citext in public, no search_path set',
    (schema) =>
      on(`CREATE EXTENSION citext; CREATE SCHEMA "${schema}"`, async (own) => {
        await useEverything({ url: own.url, dataSource: { schema }, auth: { cache: { enabled: true } } });
        expect(await everything(own)).toEqual(
          expect.not.arrayContaining([expect.objectContaining({ name: 'sessions' })]),
        );
      }),
  );

  it('H38: citext in a schema of its own, on no search_path', () =>
    on('CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions', (own) =>
      useEverything({ url: own.url }),
    ));

  it('H38: two schemas of one database do not hear each other', () =>
    on('CREATE EXTENSION citext; CREATE SCHEMA a; CREATE SCHEMA b', async (own) => {
      for (const schema of ['a', 'b']) await (await migrate(own.url, standard, { schema })).destroy();
      const listening = await startTestApp({
        url: own.url,
        dataSource: { schema: 'b' },
        auth: { cache: { enabled: true } },
      });
      const channel = listening.app.get(InvalidationChannel);
      await until(() => channel.isCurrent);
      const heard: unknown[] = [];
      channel.subscribe((invalidation) => void heard.push(invalidation));
      const insert = (schema: string, jti: string) =>
        own.query(`INSERT INTO ${schema}.revoked_tokens VALUES ($1, '2100-01-01')`, [jti]);
      await insert('a', 'of a');
      await insert('b', 'of b');
      // Messages come in the order of the commits: what a has published would have come before.
      await until(() => heard.length > 0);
      expect(heard).toEqual([{ tokens: [channel.digest('tokens', 'of b')] }]);
      await listening.close();
    }));

  describe('a role that may not create extensions', () => {
    const role = `latchkey_plain_${randomBytes(4).toString('hex')}`;
    afterAll(() => db.query(`DROP ROLE IF EXISTS ${role}`));
    const as = (url: string) => {
      const address = new URL(url);
      address.username = role;
      address.password = 'x';
      return address.href;
    };

    it('H38: with citext there it needs no right on the database; without, the refusal says who runs what', async () => {
      await db.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
      await on('CREATE EXTENSION citext', async (own) => {
        await own.query(`GRANT CREATE ON SCHEMA public TO ${role}`);
        await (await migrate(as(own.url))).destroy();
        await own.query(`REASSIGN OWNED BY ${role} TO CURRENT_USER`);
        await own.query(`DROP OWNED BY ${role}`);
      });
      await on('', async (own) => {
        await own.query(`GRANT CREATE ON SCHEMA public TO ${role}`);
        await expect(migrate(as(own.url))).rejects.toThrow(/a role with CREATE on it, run `CREATE EXTENSION citext;`/);
        await own.query(`DROP OWNED BY ${role}`);
      });
    });
  });
});

describe('H5: whoever may create in the schema changes nothing of what the module does', () => {
  it('functions of better matching types, of ours and of PostgreSQL’s, are never called', () =>
    on('', async (own) => {
      await (await migrate(own.url, standard, { installExtensions: true })).destroy();
      const foe = (head: string, returns: string, value: string) =>
        `CREATE FUNCTION public.${head} RETURNS ${returns} LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.called VALUES ('${head.replaceAll("'", '')}'); RETURN ${value}; END $$;`;
      await own.query(`CREATE TABLE called (what text);
        ${foe('latchkey_end_access(text, timestamptz, text, boolean)', 'boolean', 'true')}
        ${foe('latchkey_add_session(text, uuid, timestamptz, interval, interval, timestamptz, text, text, integer, boolean, timestamptz, boolean)', 'text', 'NULL')}
        ${foe('latchkey_consume_rate(varchar, varchar, integer, double precision, timestamptz)', 'text', 'NULL')}
        ${foe('hashtextextended(text, integer)', 'bigint', '1')}
        ${foe('to_timestamp(text)', 'timestamptz', 'now()')}
        ${foe('make_interval(secs double precision)', 'interval', "interval '1 day'")}
        ${foe('date_part(text, timestamp with time zone)', 'double precision', '0')}
        ${foe('cardinality(timestamptz[])', 'integer', '0')}
        ${foe('concat_ws(text, uuid, double precision, uuid)', 'text', "''")}
        ${foe('pg_notify(text, varchar)', 'text', "''")}
        ${foe('jsonb_array_length(json)', 'integer', '0')}
        ${foe('set_config(text, text, integer)', 'text', "''")}`);
      await useEverything({ url: own.url, auth: { cache: { enabled: true }, audit: { enabled: true } } });
      expect(await own.query('SELECT DISTINCT what FROM called')).toEqual([]);
      const hijacked = await own.query("SELECT date_part('epoch', to_timestamp('1'))");
      expect(hijacked).toHaveLength(1);
      // Negative control: called as it was, unqualified and without a cast, the foe's is the one that runs.
      expect(await own.query('SELECT DISTINCT what FROM called')).toEqual([{ what: 'to_timestamp(text)' }]);
    }));

  it('every function has a search path of its own', () =>
    on('CREATE SCHEMA "My Auth"; CREATE EXTENSION citext', async (own) => {
      await (await migrate(own.url, standard, { schema: 'My Auth' })).destroy();
      const paths = await own.query<{ path: string }>(
        `SELECT DISTINCT setting AS path FROM pg_proc, unnest(proconfig) setting WHERE proname LIKE 'latchkey%' AND setting LIKE 'search_path%'`,
      );
      expect(paths.map(({ path }) => path.replaceAll('\\', ''))).toEqual([
        'search_path=pg_catalog, "My Auth", pg_temp',
      ]);
    }));
});

describe('H42: the migrations', () => {
  it('are one per feature, and none takes SQL from another', () => {
    expect(authMigrations.map((Migration) => new Migration().name)).toEqual([
      'CreateInvalidationKey1763683200000',
      'CreateUsers1763683200001',
      'CreateSessions1763683200002',
      'CreateEphemeralTokens1763683200003',
      'CreateRateLimits1763683200004',
      'CreateRevokedTokens1763683200005',
      'CreateAuditEvents1763683200006',
      'CreatePasswordAttempts1763683200007',
      'RememberSessions1763683200008',
      'AddSessionData1763683200009',
      'CreateJwtSessions1763683200010',
      'TimeRotations1763683200011',
      'AddAssurance1763683200012',
      'AddAccountFields1763683200013',
    ]);
    expect(readdirSync('src/schema/migrations').filter((file) => file.startsWith('create-'))).toHaveLength(9);
  });

  it('H41: authSchemaFor has a return type of its own, which a user’s file can export', () => {
    const schema: AuthSchema = authSchemaFor({ userId: 'uuid' });
    expect(schema.entities).toHaveLength(7);
  });
});
