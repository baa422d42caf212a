import { afterAll, beforeAll, describe, it } from '@jest/globals';
import type { AuthModuleExtras, AuthOptions } from 'nestjs-latchkey';
import { startTestApp, type Platform, type TestApp } from '../support/app.js';
import { cleanupsAfterEach } from '../support/cleanups.js';
import { until } from '../support/heard.js';
import { startOwnPostgres, type OwnPostgres } from '../support/own-postgres.js';
import { engineFor } from '../support/redis-engine.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { withClient } from '../support/test-server.js';
import { checkFault, faultsOf, type Fault } from './check-fault.js';
import { startPostgresPair } from './postgres-pair.js';
import { WITH_FLOWS } from './flow-routes.js';
import { PagesController } from './public-routes.js';

const TIMEOUT = 1_000;

let postgres: OwnPostgres;
let redis: RedisServer;
beforeAll(async () => {
  [postgres, redis] = await Promise.all([startOwnPostgres(), startRedis()]);
});
afterAll(async () => {
  await postgres?.remove();
  await redis?.stop();
});

const cleanups = cleanupsAfterEach();

const WAYS: readonly (readonly [
  name: string,
  platform: Platform,
  options: (url: string) => Partial<AuthOptions> & AuthModuleExtras,
])[] = [
  ['on Express', 'express', () => ({})],
  ['on Fastify', 'fastify', () => ({})],
  ['with reads from memory', 'express', () => ({ cache: { enabled: true } })],
  ['with sessions on Redis', 'fastify', (url) => ({ engine: engineFor(url, [redis.url]) })],
];

let databases = 0;
async function start(server: string, proxy: TcpProxy, [, platform, options]: (typeof WAYS)[number]): Promise<TestApp> {
  const name = `faults_${databases++}`;
  await withClient(server, (client) => client.query(`CREATE DATABASE ${name}`));
  const url = new URL(proxy.url(server));
  url.pathname = `/${name}`;
  const t = await startTestApp({
    url: url.href,
    platform,
    controllers: [PagesController],
    auth: { database: { timeout: TIMEOUT }, ...WITH_FLOWS, jwt: { sessions: true }, ...options(url.href) },
  });
  cleanups.push(() => t.close());
  return t;
}

const reconnect = (server: string) =>
  withClient(server, (client) =>
    client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = $1 AND pid <> pg_backend_pid()',
      ['client backend'],
    ),
  );
const setReadOnly = async (server: string, value: 'on' | 'off') => {
  await withClient(server, async (client) => {
    await client.query('SET default_transaction_read_only = off');
    await client.query(`ALTER SYSTEM SET default_transaction_read_only = ${value}`);
    await client.query('SELECT pg_reload_conf()');
  });
  await until(() =>
    withClient(server, async (client) => {
      const { rows } = await client.query<{ default_transaction_read_only: string }>(
        'SHOW default_transaction_read_only AS is'.replace(' AS is', ''),
      );
      return rows[0]!.default_transaction_read_only === value;
    }),
  );
  await reconnect(server);
};

describe.each(WAYS)('PostgreSQL, %s', (...way) => {
  const faultOn = (proxy: TcpProxy): readonly Fault[] => [
    ...faultsOf({ stop: () => postgres.stop(), start: () => postgres.start() }, proxy),
    {
      name: 'read-only',
      leaves: 'reads',
      begin: () => setReadOnly(postgres.server.url, 'on'),
      end: () => setReadOnly(postgres.server.url, 'off'),
    },
  ];

  it.each(['slow', 'cut off', 'stopped', 'restarted', 'read-only'])(
    '%s',
    async (name) => {
      const proxy = await startTcpProxy(postgres.server.port);
      cleanups.push(() => proxy.close());
      const t = await start(postgres.server.url, proxy, way);
      await checkFault(
        t,
        faultOn(proxy).find((fault) => fault.name === name)!,
      );
    },
    120_000,
  );

  it('failing over to a standby', async () => {
    const pair = await startPostgresPair();
    cleanups.push(() => pair.remove());
    const proxy = await startTcpProxy(pair.primary.port);
    cleanups.push(() => proxy.close());
    const t = await start(pair.primary.url, proxy, way);
    await checkFault(t, {
      name: 'failing over',
      leaves: 'reads',
      begin: async () => {
        await pair.caughtUp();
        await pair.primary.stop();
        proxy.redirect(pair.standby.port);
        proxy.reset();
      },
      end: () => pair.promote(),
    });
  }, 120_000);
});
