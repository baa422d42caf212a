import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from 'pg';
import { withClient } from '../../test/support/test-server.js';
import type { BenchProcess } from '../harness/bench-process.js';
import { spreadOf } from '../harness/samples.js';
import type { Scenario } from '../harness/scenario.js';
import { migrated } from './our-app.js';
import type { SoakServer } from './soak/server.js';
import { Visitor } from './soak/visitor.js';

const SERVER = new URL('./soak/server.ts', import.meta.url);
const VISITORS = 16;
/** `SOAK_SECONDS=60` for a short one. */
const SECONDS = Number(process.env['SOAK_SECONDS'] ?? 600);
const SMOKE_SECONDS = 3;
const MIB = 2 ** 20;

const SAMPLE_EVERY_SECONDS = 10;
const MIN_SAMPLES = 3;

interface Sampled {
  readonly seconds: number;
  readonly requests: number;
  readonly errors: number;
  readonly rss: number;
  readonly heap: number;
  readonly rows: number;
}

export const scenario: Scenario = {
  name: 'soak',
  async run(bench) {
    const seconds = bench.smoke ? SMOKE_SECONDS : SECONDS;
    const url = await migrated(bench, 'soak');
    const { samples, unexpected } = await bench.withProcess(
      async (server) => {
        const hello = await server.start<SoakServer>(SERVER, 'soakServer', { url, visitors: VISITORS });
        return withClient(url, (client) => soak(server, hello, client, seconds));
      },
      ['--expose-gc'],
    );
    if (unexpected.length > 0) {
      throw new Error(`${unexpected.length} unexpected answers:\n${unexpected.slice(0, 20).join('\n')}`);
    }
    const heapBetween = (from: number, to: number) =>
      spreadOf(samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to)).map(({ heap }) => heap))
        .median;
    const tenth = Math.max(1, Math.round(samples.length / 10));
    return {
      title: 'Soak',
      about: [
        `${VISITORS} visitors for ${seconds} s over HTTP, with the cache and the cleanup on: guarded GETs, logins, logouts, rotations, one-time tokens issued and consumed twice, a rate limited route, requests without a session. Every answer is known beforehand, and any other fails the run: also one of a session that has ended, a spent token or the request over the limit.`,
        'Heap: what is in use after a full garbage collection. Rows: of sessions, one-time tokens and rate limits together.',
      ],
      tables: [
        {
          title: 'Over time',
          columns: ['requests', 'errors', 'rss MiB', 'heap MiB', 'rows'],
          rows: samples
            .filter((_, i) => (i + 1) % tenth === 0)
            .map((sample) => ({
              name: clockOf(sample.seconds),
              kind: 'ours',
              cells: {
                requests: sample.requests.toLocaleString('en'),
                errors: String(sample.errors),
                'rss MiB': sample.rss / MIB,
                'heap MiB': sample.heap / MIB,
                rows: sample.rows.toLocaleString('en'),
              },
            })),
        },
      ],
      goals: [
        { claim: 'unexpected answers', value: unexpected.length, most: 0 },
        ...(bench.smoke
          ? []
          : [
              {
                claim: 'heap in the last tenth of the time, times that after the first fifth',
                value: heapBetween(0.9, 1) / heapBetween(0.2, 0.3),
                most: 1.1,
              },
            ]),
      ],
    };
  },
};

async function soak(server: BenchProcess, { url, emails }: SoakServer, client: Client, seconds: number) {
  const visitors = emails.map((email) => new Visitor(url, email));
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const visits = Promise.all(visitors.map((visitor) => visitor.actUntil(() => elapsed() >= seconds)));
  const unexpected = () => visitors.flatMap((visitor) => visitor.unexpected);
  const samples: Sampled[] = [];
  const count = Math.max(MIN_SAMPLES, Math.round(seconds / SAMPLE_EVERY_SECONDS));
  for (let next = 1; next <= count; next++) {
    await wait(Math.max(0, (next * seconds * 1000) / count - elapsed() * 1000));
    const { rss, heap } = await server.usage();
    const requests = visitors.reduce((sum, visitor) => sum + visitor.requests, 0);
    samples.push({ seconds: elapsed(), requests, errors: unexpected().length, rss, heap, rows: await rowsOf(client) });
  }
  await visits;
  return { samples, unexpected: unexpected() };
}

async function rowsOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ rows: number }>(
    `SELECT ((SELECT count(*) FROM sessions) + (SELECT count(*) FROM auth_ephemeral_tokens)
      + (SELECT count(*) FROM auth_rate_limit_events))::int AS rows`,
  );
  return rows[0]!.rows;
}

function clockOf(seconds: number): string {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
