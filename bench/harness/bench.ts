/* oxlint-disable no-console */
import { spawnSync } from 'node:child_process';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import { HAS_REDIS, startRedis } from '../../test/support/redis-server.js';
import { withClient } from '../../test/support/test-server.js';
import { BenchProcess, pinThisProcess } from './bench-process.js';
import type { Machine } from './machine.js';
import type { Bench } from './scenario.js';

export interface StartedBench extends Bench {
  readonly versions: Pick<Machine, 'postgres' | 'redis'>;
  stop(): Promise<void>;
}

/** PostgreSQL with durable commits, Redis where it is installed, and the processes of the contenders. */
export async function startBench({ smoke, rounds }: { smoke: boolean; rounds: number }): Promise<StartedBench> {
  // What is only tried shares every core with the tests beside it.
  if (!smoke) pinThisProcess();
  const postgres = await startEmbeddedPostgres({
    settings: { shared_buffers: '512MB', max_wal_size: '4GB', max_connections: '200' },
  });
  const redis = HAS_REDIS ? await startRedis() : null;
  /** With --smoke: the one that is not in use. */
  let spare: BenchProcess | undefined;
  const [warmUpMs, roundMs] = smoke ? [50, 100] : [1_500, 3_000];

  const bench: StartedBench = {
    smoke,
    rounds: smoke ? 1 : rounds,
    warmUpMs,
    roundMs,
    postgres,
    redisUrl: redis?.url ?? null,
    versions: { postgres: await versionOf(postgres.url), redis: redisVersion() },
    log: (line) => console.log(`   ${line}`),
    database: async (name) => {
      await withClient(postgres.url, (client) => client.query(`CREATE DATABASE "${name}"`));
      return postgres.urlOf(name);
    },
    withProcess: async (use, flags = [], cores = 'one') => {
      const isReusable = smoke && flags.length === 0 && cores === 'one';
      const used = (isReusable && spare) || new BenchProcess(flags, smoke ? 'all' : cores);
      if (used === spare) spare = undefined;
      let failed = true;
      try {
        const result = await use(used);
        await used.close();
        failed = false;
        return result;
      } finally {
        if (isReusable && !spare && !failed) spare = used;
        else await used.stop();
      }
    },
    repeat: (module, name, args) =>
      bench.withProcess(async (contender) => {
        await contender.start(module, name, args);
        return contender.measure(warmUpMs, roundMs);
      }),
    stop: async () => {
      await spare?.stop();
      await redis?.stop();
      await postgres.stop();
    },
  };
  return bench;
}

async function versionOf(url: string): Promise<string> {
  const { rows } = await withClient(url, (client) => client.query<{ version: string }>('SHOW server_version'));
  return Object.values(rows[0]!)[0]!;
}

function redisVersion(): string | null {
  return /v=(\S+)/.exec(spawnSync('redis-server', ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1] ?? null;
}
