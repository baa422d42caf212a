import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { authEntities, authMigrations, authSchemaFor } from 'nestjs-latchkey';
import { DataSource, type DataSourceOptions } from 'typeorm';
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
