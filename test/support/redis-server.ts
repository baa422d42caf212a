import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';

/** One redis-server of ours, on loopback. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** At once, without a word to anybody. */
  kill(): Promise<void>;
  /** On the same port; empty, unless it was told to keep. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface RedisServers {
  readonly urls: readonly string[];
  readonly servers: readonly RedisServer[];
  stop(): Promise<void>;
}

/** Whether there is a redis-server to start. */
export const HAS_REDIS = spawnSync('redis-server', ['--version']).status === 0;

export async function startRedis(settings: Record<string, string> = {}): Promise<RedisServer> {
  if (!HAS_REDIS) throw new Error('redis-server is not installed: apt-get install redis-server, or its like.');
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), 'latchkey-redis-'));
  const options = {
    port: String(port),
    bind: '127.0.0.1',
    dir,
    save: '',
    appendonly: 'no',
    'cluster-port': settings['cluster-enabled'] ? String(await freePort()) : '0',
    ...settings,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const url = `redis://127.0.0.1:${port}`;
  let child: ChildProcess;
  const start = async () => {
    child = spawn('redis-server', args, { stdio: 'ignore' });
    await answers(url, child);
  };
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  };
  await start();
  return {
    url,
    port,
    get pid() {
      return child.pid!;
    },
    kill,
    restart: start,
    stop: async () => {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Three masters without replicas. */
export async function startRedisCluster(settings: Record<string, string> = {}): Promise<RedisServers> {
  const servers = await Promise.all(
    [0, 1, 2].map(() =>
      startRedis({
        'cluster-enabled': 'yes',
        'cluster-node-timeout': '1000',
        // The slots of the others go on when one master is away.
        'cluster-require-full-coverage': 'no',
        ...settings,
      }),
    ),
  );
  const urls = servers.map(({ url }) => url);
  const clients = await Promise.all(urls.map((url) => createClient({ url }).connect()));
  const bus = await Promise.all(
    clients.map(async (client) => Number((await client.configGet('cluster-port'))['cluster-port'])),
  );
  const bounds = [0, 5461, 10923, 16384];
  for (const [i, client] of clients.entries()) {
    await client.clusterAddSlotsRange({ start: bounds[i]!, end: bounds[i + 1]! - 1 });
    await client.sendCommand(['CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1)]);
  }
  for (const i of [1, 2]) {
    await clients[0]!.sendCommand(['CLUSTER', 'MEET', '127.0.0.1', String(servers[i]!.port), String(bus[i])]);
  }
  for (const client of clients) {
    for (;;) {
      const info = String(await client.clusterInfo());
      if (/cluster_state:ok/.test(info) && /cluster_known_nodes:3/.test(info) && /cluster_slots_ok:16384/.test(info))
        break;
      await new Promise((next) => setTimeout(next, 20));
    }
  }
  for (const client of clients) client.destroy();
  return { urls, servers, stop: async () => void (await Promise.all(servers.map((server) => server.stop()))) };
}

/** What a promise about Redis must hold on. */
export const DEPLOYMENTS: readonly [name: string, start: () => Promise<RedisServers>][] = [
  [
    'one Redis',
    async () => {
      const server = await startRedis();
      return { urls: [server.url], servers: [server], stop: () => server.stop() };
    },
  ],
  ['a cluster of three', () => startRedisCluster()],
];

async function answers(url: string, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}.`);
    const client = createClient({ url, socket: { reconnectStrategy: false } }).on('error', () => {});
    try {
      await client.connect();
      await client.ping();
      return;
    } catch {
      await new Promise((next) => setTimeout(next, 20));
    } finally {
      if (client.isOpen) client.destroy();
    }
  }
  throw new Error('redis-server does not answer.');
}

async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, 'close');
    if (port < 65_000) return port;
  }
}
