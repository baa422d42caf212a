import autocannon from 'autocannon';
import type { LoginServer } from './server.js';

/** More than any machine hashes at once, and fewer than the queue takes. */
const CONNECTIONS = 32;
/** The first answers take their time: all connections begin at once. */
const LEAST_SECONDS = 3;

/** `POST login` as fast as they are answered, for so long; how many a second. Fails on any answer but 2xx. */
export async function logins({ url, accounts }: LoginServer, ms: number): Promise<number> {
  const result = await autocannon({
    url: `${url}/auth/login`,
    connections: CONNECTIONS,
    duration: Math.max(LEAST_SECONDS, ms / 1000),
    requests: accounts.map((account) => ({
      method: 'POST' as const,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(account),
    })),
  });
  const others = result.non2xx + result.errors + result.timeouts;
  if (result['2xx'] === 0 || others > 0) throw new Error(`${result['2xx']} logins succeeded, and ${others} did not.`);
  return result['2xx'] / result.duration;
}
