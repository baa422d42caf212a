import { randomBytes } from 'node:crypto';
import { authEntities, authMigrations } from 'nestjs-latchkey';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { databaseUrl, withClient } from './test-server.js';

/** A database of a test file's own. */
export interface TestDatabase {
  readonly url: string;
  /** Runs SQL on a connection beside the application's: another program, or the test's own eyes. */
  query<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

/** Of our own server: files are copied faster than the log is written, as long as nobody waits for a disk. */
const COPY_STRATEGY = process.env['TEST_DATABASE_URL'] ? '' : 'STRATEGY FILE_COPY';

/** A copy of the migrated template, or an empty database. */
export async function createTestDatabase({ migrated = true } = {}): Promise<TestDatabase> {
  const server = process.env['LATCHKEY_TEST_SERVER']!;
  const name = `latchkey_test_${randomBytes(6).toString('hex')}`;
  await withClient(server, async (client) =>
    client.query(
      `CREATE DATABASE ${name} ${migrated ? `TEMPLATE ${await templateOf(server, client)}` : ''} ${COPY_STRATEGY}`,
    ),
  );
  const database = databaseAt(databaseUrl(server, name));
  return {
    ...database,
    drop: async () => {
      await database.drop();
      await withClient(server, (client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`));
    },
  };
}

/** A database that somebody else made, and drops. */
export function databaseAt(url: string): TestDatabase {
  // PostgreSQL starts a process for each connection: one is kept between queries, and made as new.
  let kept: Client | undefined;
  return {
    url,
    query: async <Row>(sql: string, values: unknown[] = []) => {
      const client = kept ?? (await connectedTo(url, (gone) => gone === kept && (kept = undefined)));
      kept = undefined;
      try {
        const { rows } = await client.query(sql, values);
        await client.query('DISCARD ALL');
        if (kept === undefined) kept = client;
        return rows as Row[];
      } finally {
        if (kept !== client) await client.end();
      }
    },
    drop: async () => {
      await kept?.end();
      kept = undefined;
    },
  };
}

async function connectedTo(url: string, onGone: (client: Client) => unknown): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => onGone(client));
  await client.connect();
  return client;
}

/** The migrated database that every other one is a copy of: the first test file to ask for it makes it. */
async function templateOf(server: string, client: Client): Promise<string> {
  const template = process.env['LATCHKEY_TEST_TEMPLATE']!;
  await client.query('SELECT pg_advisory_lock(1)');
  const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [template]);
  if (!rowCount) {
    await client.query(`CREATE DATABASE ${template}_unmigrated`);
    await migrate(databaseUrl(server, `${template}_unmigrated`));
    await client.query(`ALTER DATABASE ${template}_unmigrated RENAME TO ${template}`);
  }
  await client.query('SELECT pg_advisory_unlock(1)');
  return template;
}

/** Our tables, by our migrations. */
export async function migrate(url: string): Promise<void> {
  const entities = authEntities;
  const dataSource = new DataSource({
    type: 'postgres',
    url,
    entities,
    migrations: authMigrations,
    migrationsRun: true,
  });
  await dataSource.initialize();
  await dataSource.destroy();
}
