import autocannon from 'autocannon';
import type { Account, LoginServer } from './server.js';

const LOGIN = '/auth/login';
/** More than any machine hashes at once, and fewer than the queue takes. */
const CONNECTIONS = 32;
/** The first answers take their time: all connections begin at once. */
const MIN_SECONDS = 3;

/** `POST login` as fast as they are answered, for so long; how many a second. Fails on any answer but 2xx. */
export async function logins({ url, accounts }: LoginServer, ms: number): Promise<number> {
  const result = await autocannon({
    url: `${url}${LOGIN}`,
    connections: CONNECTIONS,
    duration: Math.max(MIN_SECONDS, ms / 1000),
    requests: accounts.map(requestOf),
  });
  // What was under way when the time was over still waits for its hash, and the queue is in order.
  await oneLogin(url, accounts[0]!);
  const others = result.non2xx + result.errors + result.timeouts;
  if (result['2xx'] === 0 || others > 0) throw new Error(`${result['2xx']} logins succeeded, and ${others} did not.`);
  return result['2xx'] / result.duration;
}

async function oneLogin(url: string, account: Account): Promise<void> {
  await (await fetch(`${url}${LOGIN}`, requestOf(account))).text();
}

function requestOf(account: Account) {
  return { method: 'POST' as const, headers: { 'content-type': 'application/json' }, body: JSON.stringify(account) };
}
