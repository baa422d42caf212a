import autocannon, { type Instance, type Result } from 'autocannon';
import type { Account, LoginServer } from './server.js';

const LOGIN = '/auth/login';
/** More than any machine hashes at once, and fewer than the queue takes. */
const CONNECTIONS = 32;
/** Longer than any round: logins go on until `stop`. */
const MAX_SECONDS = 600;

export interface Logins {
  /**
   * Resolves when every connection has been answered once: the hasher and its queue are full, and what all connections
   * sent in the same instant has been worked off.
   */
  readonly saturated: Promise<void>;
  /** How many a second were answered since then. Fails on any answer but 2xx. */
  stop(): Promise<number>;
}

/** `POST login` on all connections, as fast as they are answered. */
export function startLogins({ url, accounts }: LoginServer): Logins {
  let load!: Instance;
  const finished = new Promise<Result>((resolve, reject) => {
    const options = { url: `${url}${LOGIN}`, connections: CONNECTIONS, duration: MAX_SECONDS, bailout: 1 };
    load = autocannon({ ...options, requests: accounts.map(requestOf) }, (error, result) =>
      error ? reject(error as Error) : resolve(result),
    );
  });
  let answered = 0;
  let since = 0;
  const saturated = new Promise<void>((resolve, reject) => {
    load.on('response', () => {
      if (++answered !== CONNECTIONS) return;
      since = performance.now();
      resolve();
    });
    finished.then(() => reject(new Error('The logins ended before they had saturated the hasher.')), reject);
  });
  return {
    saturated,
    async stop() {
      const perSecond = ((answered - CONNECTIONS) * 1000) / (performance.now() - since);
      load.stop?.();
      const result = await finished;
      // What was under way then still waits for its hash, and the queue is in order.
      await oneLogin(url, accounts[0]!);
      const others = result.non2xx + result.errors + result.timeouts;
      if (others > 0) throw new Error(`${result['2xx']} logins succeeded, and ${others} did not.`);
      return perSecond;
    },
  };
}

/** What `work` gives while logins saturate the hasher, and how many a second were answered meanwhile. */
export async function duringLogins<T>(server: LoginServer, work: () => Promise<T>): Promise<[T, number]> {
  const load = startLogins(server);
  await load.saturated;
  const result = await work();
  return [result, await load.stop()];
}

async function oneLogin(url: string, account: Account): Promise<void> {
  await (await fetch(`${url}${LOGIN}`, requestOf(account))).text();
}

function requestOf(account: Account) {
  return { method: 'POST' as const, headers: { 'content-type': 'application/json' }, body: JSON.stringify(account) };
}
