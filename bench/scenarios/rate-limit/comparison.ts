import { comparisonTable, type Contender } from '../../harness/comparison.js';
import { alternate, type Samples } from '../../harness/samples.js';
import type { Bench, Table } from '../../harness/scenario.js';
import { LIMIT } from './policy.js';
import type { RateLimitArgs } from './contenders.js';
import type { Admitted, Traffic } from './traffic.js';

export const OURS = 'nestjs-latchkey';
export const OURS_REMEMBERED = 'nestjs-latchkey, remembered';
export const OURS_DURABLE = 'nestjs-latchkey, durable';
export const PEER = 'rate-limiter-flexible, PostgreSQL';

const CONTENDERS = new URL('./contenders.ts', import.meta.url);
const ADMITTED = `admitted of 200 at limit ${LIMIT}`;

const REMEMBERS = { remembers: true };
const PEERS: readonly Contender[] = [
  { name: 'rate-limiter-flexible, Redis', kind: 'peer', start: 'flexibleRedis' },
  { name: '@nestjs/throttler, in memory', kind: 'peer', start: 'throttler' },
];
const BY_TRAFFIC: Readonly<Record<Traffic, readonly Contender[]>> = {
  spread: [
    { name: OURS, kind: 'ours', start: 'latchkey' },
    { name: OURS_DURABLE, kind: 'ours', start: 'latchkey', args: { durable: true } },
    { name: PEER, kind: 'peer', start: 'flexiblePostgres' },
    ...PEERS,
  ],
  blocked: [
    { name: OURS, kind: 'ours', start: 'latchkey' },
    { name: OURS_REMEMBERED, kind: 'ours', start: 'latchkey', args: REMEMBERS },
    { name: PEER, kind: 'peer', start: 'flexiblePostgres' },
    { name: `${PEER}, remembered`, kind: 'peer', start: 'flexiblePostgres', args: REMEMBERS },
    ...PEERS,
  ],
};
const TITLES: Readonly<Record<Traffic, string>> = {
  spread: 'Decisions spread over 100,000 subjects',
  blocked: 'Decisions about one blocked subject',
};

export interface RateLimitComparison {
  readonly samples: Samples;
  readonly table: Table;
}

/** Everybody's decisions (or those of `only`) under one traffic, in the database that `databaseWithEvents` has made. */
export async function compareRateLimits(
  bench: Bench,
  url: string,
  traffic: Traffic,
  only?: readonly string[],
): Promise<RateLimitComparison> {
  const { redisUrl } = bench;
  const contenders = BY_TRAFFIC[traffic]
    .filter(({ start }) => redisUrl !== null || start !== 'flexibleRedis')
    .filter(({ name }) => !only || only.includes(name));
  const byName = new Map(contenders.map((contender) => [contender.name, contender]));
  const admitted = new Map<string, Set<number>>(contenders.map(({ name }) => [name, new Set()]));
  const samples = await alternate(bench.rounds, [...byName.keys()], (name) =>
    bench.withProcess(async (process) => {
      const { start, args } = byName.get(name)!;
      const all: RateLimitArgs = { traffic, url, redisUrl, ...(args as object | undefined) };
      admitted.get(name)!.add((await process.start<Admitted>(CONTENDERS, start, all)).admitted);
      return process.measure(bench.warmUpMs, bench.roundMs);
    }),
  );
  const table = comparisonTable({ title: TITLES[traffic], reference: PEER }, contenders, samples, (name) => ({
    [ADMITTED]: [...admitted.get(name)!].toSorted((a, b) => a - b).join(' or '),
  }));
  return { samples, table };
}
