import { spreadOf } from '../harness/samples.js';
import type { Scenario } from '../harness/scenario.js';
import type { CacheMemory } from './memory/contender.js';

const CONTENDER = new URL('./memory/contender.ts', import.meta.url);

export const scenario: Scenario = {
  name: 'memory',
  async run(bench) {
    const sizes = bench.smoke ? [1_000] : [10_000, 100_000];
    const rows = [];
    for (const size of sizes) rows.push({ size, bytes: await bytesOfASession(size) });
    const [most] = rows.map(({ bytes }) => bytes.most).toSorted((a, b) => b - a);
    return {
      title: 'Memory of cached sessions',
      about: [
        'Heap after a full garbage collection, in a fresh process each round, divided by the sessions in the cache. Every session belongs to another user; three times as many were put in as stay.',
      ],
      tables: [
        {
          title: 'MemorySessionCache',
          columns: ['bytes a session', 'MiB altogether'],
          rows: rows.map(({ size, bytes }) => ({
            name: `${size.toLocaleString('en')} sessions`,
            kind: 'ours',
            cells: { 'bytes a session': bytes, 'MiB altogether': (bytes.median * size) / 2 ** 20 },
          })),
        },
      ],
      goals: [{ claim: 'bytes of a cached session', value: most!, most: 2_000 }],
    };

    async function bytesOfASession(size: number) {
      const rounds: number[] = [];
      for (let round = 0; round < bench.rounds; round++) {
        const { sessions, bytes } = await bench.withProcess(
          (contender) => contender.start<CacheMemory>(CONTENDER, 'cacheMemory', { sessions: size }),
          ['--expose-gc'],
        );
        rounds.push(bytes / sessions);
      }
      return spreadOf(rounds);
    }
  },
};
