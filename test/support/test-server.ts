import { randomBytes } from 'node:crypto';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { authEntities, authMigrations } from 'nestjs-latchkey';

let stop: (() => Promise<void>) | undefined;

/** One PostgreSQL (and one Redis and a cluster of three, where it is installed) for the whole run, and one migrated database that every test file copies. */
export async function startTestServer(): Promise<void> {
  // Every test file imports this one, and few of them have to load node-redis.
  const { HAS_REDIS, requireRedis, startRedis, startRedisCluster } = await import('./redis-server.js');
  requireRedis();
  const given = process.env['TEST_DATABASE_URL'];
  const embedded = given ? null : await startEmbeddedPostgres({ settings: { fsync: 'off', max_connections: '300' } });
  const server = given ?? embedded!.url;
  const template = `latchkey_template_${randomBytes(6).toString('hex')}`;

  await withClient(server, (client) => client.query(`CREATE DATABASE ${template}`));
  const dataSource = new DataSource({
    type: 'postgres',
    url: databaseUrl(server, template),
    entities: authEntities,
    migrations: authMigrations,
    migrationsRun: true,
  });
  await dataSource.initialize();
  await dataSource.destroy();
  process.env['LATCHKEY_TEST_SERVER'] = server;
  process.env['LATCHKEY_TEST_TEMPLATE'] = template;

  const redis = HAS_REDIS ? await startRedis() : null;
  const cluster = HAS_REDIS ? await startRedisCluster() : null;
  if (redis) process.env['LATCHKEY_TEST_REDIS'] = redis.url;
  if (cluster) process.env['LATCHKEY_TEST_REDIS_CLUSTER'] = cluster.urls.join();
  stop = async () => {
    await redis?.stop();
    await cluster?.stop();
    await withClient(server, (client) => client.query(`DROP DATABASE ${template}`));
    await embedded?.stop();
  };
}

export async function stopTestServer(): Promise<void> {
  await stop?.();
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
