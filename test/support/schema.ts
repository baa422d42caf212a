import { randomBytes } from 'node:crypto';
import { expect } from '@jest/globals';
import {
  authEntities,
  authMigrations,
  EphemeralTokenService,
  PostgresUserDirectory,
  RateLimitService,
  SessionService,
  TokenRevocationService,
  type AuthSchema,
} from 'nestjs-latchkey';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { startTestApp, type TestAppOptions } from './app.js';
import { createTestDatabase, type TestDatabase } from './database.js';

export const standard: AuthSchema = { entities: authEntities, migrations: authMigrations };

/** A database for one case, on which the migrations then run. */
export async function on<T>(sql: string, work: (own: TestDatabase) => Promise<T>): Promise<T> {
  const own = await createTestDatabase({ migrated: false });
  try {
    if (sql) await own.query(sql);
    return await work(own);
  } finally {
    await own.drop();
  }
}

export async function migrate(
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

export const everything = (own: TestDatabase) =>
  own.query(`SELECT relname AS name, relkind AS kind, (SELECT array_agg(attname || ' ' || atttypid::regtype ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)::text AS columns
      FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relname !~ '^migrations|^PK_'
    UNION ALL SELECT proname, 'f', prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ 'latchkey' ORDER BY 1`);

/** One of everything that the stores do. */
export async function useEverything(options: Omit<TestAppOptions, 'url'> & { url: string }): Promise<void> {
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
