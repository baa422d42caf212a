import { randomBytes } from 'node:crypto';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import { Client } from 'pg';

/** Fast, since nothing here has to outlive the machine. */
export const SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_connections: '300',
};

const ends: (() => Promise<void>)[] = [];
/** Called when the run is over, the last one first. */
export const atEnd = (end: () => Promise<void>) => void ends.push(end);

/** One PostgreSQL for the whole run, however many projects ask for it. */
export async function startTestServer(): Promise<void> {
  if (process.env['LATCHKEY_TEST_SERVER']) return;
  const given = process.env['TEST_DATABASE_URL'];
  const embedded = given ? null : await startEmbeddedPostgres({ settings: SETTINGS });
  if (embedded) atEnd(() => embedded.stop());
  const server = given ?? embedded!.url;
  const template = `latchkey_template_${randomBytes(6).toString('hex')}`;
  process.env['LATCHKEY_TEST_SERVER'] = server;
  process.env['LATCHKEY_TEST_TEMPLATE'] = template;
  atEnd(() => withClient(server, async (client) => void (await client.query(`DROP DATABASE IF EXISTS ${template}`))));
}

export async function stopTestServer(): Promise<void> {
  for (const end of ends.splice(0).toReversed()) await end();
}

export function databaseUrl(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

export async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
