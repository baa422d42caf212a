import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { authEntities, authMigrations, authSchemaFor, type AuthSchema } from 'nestjs-latchkey';
import { InvalidationChannel } from 'nestjs-latchkey/engine';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { until } from '../support/heard.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startTestApp } from '../support/app.js';
import { everything, migrate, on, standard, useEverything } from '../support/schema.js';

let db: TestDatabase;
beforeAll(async () => {
  // TypeORM prints each refusal.
  jest.spyOn(console, 'log').mockImplementation(() => undefined);
  db = await createTestDatabase({ migrated: false });
});
afterAll(() => db?.drop());

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
      'CreateTwoFactor1763683200014',
      'CreateEmailFactors1763683200015',
      'CreatePasskeys1763683200016',
      'CreateApiKeys1763683200017',
      'CreateIdentities1763683200018',
    ]);
    expect(readdirSync('src/schema/migrations').filter((file) => file.startsWith('create-'))).toHaveLength(14);
  });

  it('H41: authSchemaFor has a return type of its own, which a user’s file can export', () => {
    const schema: AuthSchema = authSchemaFor({ userId: 'uuid' });
    expect(schema.entities).toHaveLength(13);
  });
});
