import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource, type DataSourceOptions } from 'typeorm';
import ormconfig from '../../ormconfig.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };

/** What `npm run …` starts, without npm's own second. */
function commandOf(script: string): string[] {
  const [first, ...words] = scripts[script]!.split(' ');
  if (first === 'node') return words;
  const [run, inner, dashes, ...rest] = words;
  expect([first, run, dashes]).toEqual(['npm', 'run', '--']);
  return [...commandOf(inner!), ...rest];
}

describe('ormconfig.ts with the TypeORM CLI', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase({ migrated: false });
  });
  afterAll(() => db?.drop());

  const run = (script: string) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, commandOf(script), {
      env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: db.url },
      encoding: 'utf8',
    });
    return { status, output: stdout + stderr };
  };
  const migrations = () => db.query('SELECT * FROM migrations ORDER BY id');
  const tables = async () =>
    (
      await db.query<{ name: string }>(`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`)
    ).map(({ name }) => name);

  it('npm run migration:run makes the tables, :generate finds nothing to generate, :revert takes the last one back', async () => {
    expect(run('migration:run')).toMatchObject({ status: 0 });
    expect(await tables()).toEqual(expect.arrayContaining(['sessions', 'users']));
    const generate = run('migration:generate');
    expect(generate.output).toContain('No changes in database schema were found');
    expect(generate.status).toBe(0);
    const before = await migrations();
    expect(run('migration:revert')).toMatchObject({ status: 0 });
    expect(await migrations()).toEqual(before.slice(0, -1));
  }, 60_000);

  it('its DataSource takes away the others too', async () => {
    const dataSource = new DataSource({ ...ormconfig.options, url: db.url } as DataSourceOptions);
    await dataSource.initialize();
    for (const _ of await migrations()) await dataSource.undoLastMigration();
    await dataSource.destroy();
    expect(await tables()).toEqual(['migrations']);
  });
});
