import { withClient } from '../../test/support/test-server.js';
import { alternate, spreadOf } from '../harness/samples.js';
import type { Bench, Result, Scenario } from '../harness/scenario.js';
import { fillSessions, fillUsers } from './fill.js';
import { migrated } from './our-app.js';
import type { LookupTimes } from './scale/contender.js';
import { checkLookupPlan } from './scale/lookup-plan.js';
import { rateLimits } from './scale/rate-limits.js';

const CONTENDER = new URL('./scale/contender.ts', import.meta.url);
const USERS = 10_000;
const SIZES = [10_000, 1_000_000, 5_000_000];
const SMOKE_SIZES = [1_000, 2_000, 5_000];

export const scenario: Scenario = {
  name: 'scale',
  async run(bench) {
    const sizes = bench.smoke ? SMOKE_SIZES : SIZES;
    // The smallest table of events is that of the scenario rate-limit.
    const tables = [await lookups(bench, sizes), await rateLimits(bench, sizes.slice(1))];
    return {
      title: 'Large tables',
      about: [
        `${USERS.toLocaleString('en')} users, their sessions spread evenly. Lookups of live sessions all over the table, without a cache; every answer is checked. A second: 16 at a time. p50 and p99: one after the other. PostgreSQL has 512 MB of shared buffers.`,
        'At every size PostgreSQL plans the lookup by the primary keys alone, which the run checks.',
      ],
      tables: tables.map(({ table }) => table),
      goals: tables.flatMap(({ goals }) => goals),
    };
  },
};

interface SizeTable {
  readonly table: Result['tables'][number];
  readonly goals: Result['goals'];
}

async function lookups(bench: Bench, sizes: readonly number[]): Promise<SizeTable> {
  const urls = new Map<string, string>();
  for (const size of sizes) {
    const url = await migrated(bench, `scale_${size}`);
    const began = performance.now();
    await fill(url, size);
    const seconds = (performance.now() - began) / 1000;
    bench.log(`${nameOf(size)} sessions were put in in ${seconds.toFixed(0)} s`);
    urls.set(nameOf(size), url);
  }
  const names = [...urls.keys()];
  const times = new Map<string, LookupTimes[]>(names.map((name) => [name, []]));
  const samples = await alternate(bench.rounds, names, (name) =>
    bench.withProcess(async (contender) => {
      const sessions = sizes[names.indexOf(name)];
      await contender.start(CONTENDER, 'lookups', { url: urls.get(name), sessions });
      const sample = await contender.measure(bench.warmUpMs, bench.roundMs);
      times.get(name)!.push(await contender.call<LookupTimes>('oneByOne', bench.roundMs));
      return sample;
    }),
  );
  const spread = (name: string, which: keyof LookupTimes) => spreadOf(times.get(name)!.map((each) => each[which]));
  const [smallest, largest] = [names[0]!, names.at(-1)!];
  return {
    table: {
      title: 'SessionService.lookup',
      columns: ['lookups a second', 'p50 ms', 'p99 ms'],
      chart: 'lookups a second',
      rows: names.map((name) => ({
        name: `${name} sessions`,
        kind: 'ours',
        cells: {
          'lookups a second': samples.perSecond(name),
          'p50 ms': spread(name, 'p50'),
          'p99 ms': spread(name, 'p99'),
        },
      })),
    },
    goals: [
      {
        claim: `lookup p50 at ${largest} sessions, times that at ${smallest}`,
        value: spread(largest, 'p50').median / spread(smallest, 'p50').median,
        most: 2,
      },
    ],
  };
}

function fill(url: string, sessions: number): Promise<void> {
  return withClient(url, async (client) => {
    await fillUsers(client, USERS);
    await fillSessions(client, sessions, 'live', "now() + interval '30 days'");
    await client.query('VACUUM ANALYZE');
    await client.query('CHECKPOINT');
    await checkLookupPlan(client);
  });
}

const nameOf = (size: number) => size.toLocaleString('en');
