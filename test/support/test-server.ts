import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { startEmbeddedPostgres, type EmbeddedPostgres } from 'nestjs-latchkey/testing';
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
  const server = given ?? (await startOwnServer()).url;
  const template = `latchkey_template_${randomBytes(6).toString('hex')}`;
  process.env['LATCHKEY_TEST_SERVER'] = server;
  process.env['LATCHKEY_TEST_TEMPLATE'] = template;
  atEnd(() => withClient(server, async (client) => void (await client.query(`DROP DATABASE IF EXISTS ${template}`))));
}

async function startOwnServer(): Promise<EmbeddedPostgres> {
  const memory = memoryFolder();
  const server = await startEmbeddedPostgres({
    settings: SETTINGS,
    ...(memory === undefined ? {} : { dataDirectory: join(memory, 'data') }),
  });
  atEnd(async () => {
    await server.stop();
    if (memory !== undefined) rmSync(memory, { recursive: true, force: true });
  });
  await withClient(server.url, async (client) => {
    // Thousands of connections are opened, and the default is 4,096 rounds of SHA-256 for each of them.
    await client.query('SET scram_iterations = 1');
    await client.query(`ALTER ROLE CURRENT_USER PASSWORD '${new URL(server.url).password}'`);
  });
  return server;
}

const MEMORY = '/dev/shm';
const ROOM_BYTES = 4 * 1024 ** 3;

/** A folder in memory, where there is room: a database is copied there in a fifth of the time that a disk takes. */
function memoryFolder(): string | undefined {
  if (!existsSync(MEMORY)) return undefined;
  const { bavail, bsize } = statfsSync(MEMORY);
  if (bavail * bsize < ROOM_BYTES) return undefined;
  const folder = mkdtempSync(join(MEMORY, 'nestjs-latchkey-test-'));
  // PostgreSQL runs as somebody else where the tests run as root.
  chmodSync(folder, 0o711);
  return folder;
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
