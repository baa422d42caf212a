import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { createClient } from 'redis';
import { startTestApp, PLATFORMS } from '../support/app.js';
import { cleanupsAfterEach } from '../support/cleanups.js';
import { createTestDatabase } from '../support/database.js';
import { until } from '../support/heard.js';
import { engineFor } from '../support/redis-engine.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { checkFault, faultsOf, type Fault } from './check-fault.js';
import { WITH_FLOWS } from './flow-routes.js';
import { PagesController } from './public-routes.js';

/** What is answered is on the disk. */
const DURABLE = { appendonly: 'yes', appendfsync: 'always' };

let redis: RedisServer;
let replica: RedisServer;
beforeAll(async () => {
  redis = await startRedis(DURABLE);
  replica = await startRedis({ ...DURABLE, replicaof: `127.0.0.1 ${redis.port}` });
});
afterAll(async () => {
  await replica?.stop();
  await redis?.stop();
});

const cleanups = cleanupsAfterEach();

/** Commands of an operator. */
async function tell(server: RedisServer, ...command: string[]): Promise<unknown> {
  const client = await createClient({ url: server.url }).connect();
  try {
    return await client.sendCommand(command);
  } finally {
    client.destroy();
  }
}
const offset = async (server: RedisServer, field: string) =>
  new RegExp(`${field}:(\\d+)`).exec(String(await tell(server, 'INFO', 'replication')))?.[1];

describe.each(PLATFORMS)('Redis, on %s', (platform) => {
  const faultOn = (proxy: TcpProxy): readonly Fault[] => [
    ...faultsOf({ stop: () => redis.kill(), start: () => redis.restart() }, proxy),
    { name: 'frozen', leaves: 'nothing', begin: async () => signal('SIGSTOP'), end: async () => signal('SIGCONT') },
    {
      name: 'read-only',
      leaves: 'reads',
      begin: async () => void (await tell(redis, 'CONFIG', 'SET', 'min-replicas-to-write', '5')),
      end: async () => void (await tell(redis, 'CONFIG', 'SET', 'min-replicas-to-write', '0')),
    },
    {
      name: 'failing over to a replica',
      leaves: 'reads',
      begin: async () => {
        await until(
          async () => (await offset(redis, 'master_repl_offset')) === (await offset(replica, 'slave_repl_offset')),
        );
        await redis.kill();
        proxy.redirect(replica.port);
        proxy.reset();
      },
      end: async () => void (await tell(replica, 'REPLICAOF', 'NO', 'ONE')),
    },
  ];
  const signal = (name: NodeJS.Signals) => void process.kill(redis.pid, name);

  it.each(['slow', 'cut off', 'frozen', 'stopped', 'restarted', 'read-only', 'failing over to a replica'])(
    '%s',
    async (name) => {
      const db = await createTestDatabase();
      cleanups.push(() => db.drop());
      const proxy = await startTcpProxy(redis.port, { opaque: true });
      cleanups.push(() => proxy.close());
      const t = await startTestApp({
        url: db.url,
        platform,
        controllers: [PagesController],
        auth: {
          ...WITH_FLOWS,
          jwt: { sessions: true },
          engine: engineFor(db.url, [`redis://127.0.0.1:${proxy.port}`], { timeout: 600 }),
        },
      });
      cleanups.push(() => t.close());
      if (name === 'failing over to a replica') cleanups.push(asBefore);
      await checkFault(
        t,
        faultOn(proxy).find((fault) => fault.name === name)!,
      );
    },
    120_000,
  );

  const asBefore = async () => {
    await redis.restart();
    await tell(replica, 'REPLICAOF', '127.0.0.1', String(redis.port));
    await until(async () => /master_link_status:up/.test(String(await tell(replica, 'INFO', 'replication'))));
  };
});
