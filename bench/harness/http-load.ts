import autocannon from 'autocannon';
import type { BenchProcess } from './bench-process.js';
import type { Sample } from './contender.js';

export type Headers = Record<string, string>;

const CONNECTIONS = 32;

export interface Load {
  readonly url: string;
  /** One set for each session; every connection goes through them from another place. */
  readonly headers: readonly Headers[];
}

/** GET requests as fast as they are answered, for so long; what the server's process spent on each. Fails on any answer but 2xx. */
export async function load({ url, headers }: Load, server: BenchProcess, ms: number): Promise<Sample> {
  let next = 0;
  const before = await server.usage();
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: Math.max(1, ms / 1000),
    setupClient: (client) => {
      const start = Math.floor((next++ * headers.length) / CONNECTIONS);
      client.setRequests([...headers.slice(start), ...headers.slice(0, start)].map((each) => ({ headers: each })));
    },
  });
  const after = await server.usage();
  const answered = result['2xx'];
  const others = result.non2xx + result.errors + result.timeouts;
  if (answered === 0 || others > 0) throw new Error(`${url}: ${answered} answers 2xx, and ${others} others.`);
  return { perSecond: answered / result.duration, cpuMicros: (after.micros - before.micros) / answered };
}
