import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('ormconfig.ts with the TypeORM CLI', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase({ migrated: false });
  });
  afterAll(() => db?.drop());

  const run = (script: string) => {
    const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', script], {
      env: { ...process.env, DATABASE_URL: db.url },
      encoding: 'utf8',
    });
    return { status, output: stdout + stderr };
  };
  const tables = async () =>
    (
      await db.query<{ name: string }>(`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`)
    ).map(({ name }) => name);

  it('npm run migration:run makes the tables, :generate finds nothing to generate, :revert takes them away', async () => {
    expect(run('migration:run')).toMatchObject({ status: 0 });
    expect(await tables()).toEqual(expect.arrayContaining(['sessions', 'users']));
    const generate = run('migration:generate');
    expect(generate.output).toContain('No changes in database schema were found');
    expect(generate.status).toBe(0);
    while ((await tables()).includes('users')) expect(run('migration:revert')).toMatchObject({ status: 0 });
    expect(await tables()).toEqual(['migrations']);
  }, 60_000);
});
