import { randomBytes } from 'node:crypto';
import { databaseUrl, withClient } from './test-server.js';

/** A database of a test file's own. */
export interface TestDatabase {
  readonly url: string;
  /** Runs SQL on a connection beside the application's: another program, or the test's own eyes. */
  query<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

/** A copy of the migrated template, or an empty database. */
export async function createTestDatabase({ migrated = true } = {}): Promise<TestDatabase> {
  const server = process.env['LATCHKEY_TEST_SERVER']!;
  const name = `latchkey_test_${randomBytes(6).toString('hex')}`;
  const template = migrated ? `TEMPLATE ${process.env['LATCHKEY_TEST_TEMPLATE']!}` : '';
  await withClient(server, (client) => client.query(`CREATE DATABASE ${name} ${template}`));
  const url = databaseUrl(server, name);
  return {
    url,
    query: <Row>(sql: string, values: unknown[] = []) =>
      withClient(url, async (client) => (await client.query(sql, values)).rows as Row[]),
    drop: async () => {
      await withClient(server, (client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`));
    },
  };
}
