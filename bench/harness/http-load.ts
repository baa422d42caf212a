import autocannon from 'autocannon';
import type { BenchProcess } from './bench-process.js';
import type { Sample } from './contender.js';

export type Headers = Record<string, string>;

const CONNECTIONS = 32;
/** The generator counts by the second; what is shorter is to see that it works, and is no measurement. */
const MIN_MS = 1_000;

export interface Load {
  readonly url: string;
  /** One set for each session; every connection goes through them from another place. */
  readonly headers: readonly Headers[];
}

/**
 * GET requests as fast as they are answered, for so long; what the server's process spent on each. Fails on any answer
 * but 2xx.
 */
export async function load(what: Load, server: BenchProcess, ms: number): Promise<Sample> {
  const before = await server.usage();
  const { answered, others, seconds } = ms < MIN_MS ? await askOnce(what) : await ask(what, ms);
  const after = await server.usage();
  if (answered === 0 || others > 0) throw new Error(`${what.url}: ${answered} answers 2xx, and ${others} others.`);
  return { perSecond: answered / seconds, cpuMicros: (after.micros - before.micros) / answered };
}

interface Answers {
  readonly answered: number;
  readonly others: number;
  readonly seconds: number;
}

async function ask({ url, headers }: Load, ms: number): Promise<Answers> {
  let next = 0;
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: ms / 1_000,
    setupClient: (client) => {
      const start = Math.floor((next++ * headers.length) / CONNECTIONS);
      client.setRequests([...headers.slice(start), ...headers.slice(0, start)].map((each) => ({ headers: each })));
    },
  });
  const others = result.non2xx + result.errors + result.timeouts;
  return { answered: result['2xx'], others, seconds: result.duration };
}

async function askOnce({ url, headers }: Load): Promise<Answers> {
  const began = performance.now();
  const answers = await Promise.all(headers.map(async (each) => (await fetch(url, { headers: each })).ok));
  const answered = answers.filter(Boolean).length;
  return { answered, others: answers.length - answered, seconds: (performance.now() - began) / 1_000 };
}
