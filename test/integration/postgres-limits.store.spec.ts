import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { authEntities, authMigrations, authSchemaFor } from 'nestjs-latchkey';
import { EphemeralTokenStore, RateLimitStore } from 'nestjs-latchkey/engine';
import { DataSource } from 'typeorm';
import { ephemeralTokenStoreContract } from '../contract/ephemeral-token-store.contract.js';
import { rateLimitStoreContract } from '../contract/rate-limit-store.contract.js';
import { startTestApp } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

ephemeralTokenStoreContract('TypeORM', async () => {
  const t = await startTestApp();
  return {
    store: t.app.get(EphemeralTokenStore),
    count: async () => Number((await t.db.query('SELECT count(*) AS n FROM auth_ephemeral_tokens'))[0]!['n']),
    clear: async () => void (await t.db.query('DELETE FROM auth_ephemeral_tokens')),
    close: () => t.close(),
  };
});

rateLimitStoreContract('TypeORM', async () => {
  const t = await startTestApp();
  return {
    store: t.app.get(RateLimitStore),
    clear: async () => void (await t.db.query('DELETE FROM auth_rate_limit_events')),
    close: () => t.close(),
  };
});

describe('the tables of seed 003', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase({ migrated: false });
  });
  afterAll(() => db?.drop());

  const columns = (table: string) =>
    db.query(
      `SELECT column_name AS name, data_type AS type, character_maximum_length AS length, is_nullable AS nullable
       FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position`,
      [table],
    );
  const varchar = (name: string, length: number, nullable = 'YES') => ({
    name,
    type: 'character varying',
    length,
    nullable,
  });
  const plain = (name: string, type: string, nullable = 'YES') => ({ name, type, length: null, nullable });

  it.each([
    ['our users', { entities: authEntities, migrations: authMigrations }],
    ["the host's users", authSchemaFor({ userId: 'integer' })],
  ])(
    '%s: entities and migrations agree, columns are the seed’s, and every migration can be undone',
    async (_, schema) => {
      const dataSource = new DataSource({ type: 'postgres', url: db.url, ...schema });
      await dataSource.initialize();
      try {
        await dataSource.runMigrations();
        const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
        expect(upQueries.map(({ query }) => query).filter((query) => query.includes('auth_'))).toEqual([]);
        expect((await columns('auth_ephemeral_tokens')).slice(0, 10)).toEqual([
          plain('id', 'integer', 'NO'),
          varchar('token', 128, 'NO'),
          varchar('token_type', 20, 'NO'),
          varchar('username', 150),
          plain('provider_id', 'integer'),
          varchar('nonce', 128),
          varchar('code_verifier', 128),
          varchar('challenge_id', 128),
          plain('expires_at', 'timestamp with time zone', 'NO'),
          plain('created_at', 'timestamp with time zone', 'NO'),
        ]);
        expect(await columns('auth_rate_limit_events')).toEqual([
          plain('id', 'integer', 'NO'),
          varchar('username', 150, 'NO'),
          varchar('event_type', 20, 'NO'),
          plain('occurred_at', 'timestamp with time zone', 'NO'),
        ]);
        for (let undone = schema.migrations.length; undone > 0; undone--) await dataSource.undoLastMigration();
        const left = await db.query(
          `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'auth\\_%'
         UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'latchkey\\_%'`,
        );
        expect(left).toEqual([]);
        await db.query('DROP TABLE IF EXISTS migrations');
      } finally {
        await dataSource.destroy();
      }
    },
  );
});
