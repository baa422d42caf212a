import { setTimeout as wait } from 'node:timers/promises';
import { SessionService } from 'nestjs-latchkey';
import { CleanupService } from 'nestjs-latchkey/engine';
import { CleanupLock } from '../../../src/cleanup/cleanup-lock.js';
import type { Start } from '../../harness/contender.js';
import { startContext } from '../our-app.js';
import { requests, type Requests } from './requests.js';

export interface CleanupArgs {
  readonly url: string;
  /** Whose expired sessions are cleaned up. */
  readonly accounts: readonly string[];
  /** Who has nothing that is over. */
  readonly others: readonly string[];
  readonly idleMs: number;
}

export interface Cleaned {
  readonly removed: number;
  readonly seconds: number;
  readonly idle: Requests;
  readonly cleaning: Requests;
  /** Milliseconds that each batch held its rows. */
  readonly holds: readonly number[];
}

const LOOKED_UP = 2_000;
const WARM_UP_MS = 1_000;

/** Lookups and writes without and with a cleanup; everything in one process, as in a small deployment. */
export const cleanup: Start<CleanupArgs, Cleaned> = async ({ url, accounts, others, idleMs }) => {
  const app = await startContext({
    url,
    auth: { session: { maxPerUser: 10_000 }, cleanup: { enabled: false } },
  });
  const sessions = app.get(SessionService);
  const tokens: string[] = [];
  for (const account of accounts.slice(0, LOOKED_UP)) tokens.push((await sessions.create(account)).token);
  const during = (work: Promise<unknown>) =>
    requests(sessions, { tokens, cleaned: accounts.slice(LOOKED_UP), others }, work);

  await during(wait(WARM_UP_MS));
  const idle = await during(wait(idleMs));
  const holds = holdsOf(app.get(CleanupLock));
  const cleaned = app.get(CleanupService).runOnce();
  const cleaning = await during(cleaned);
  const report = await cleaned;
  const hello = { removed: report.sessions, seconds: report.tookMs / 1000, idle, cleaning, holds };
  return { hello, close: () => app.close() };
};

/** Filled by every batch from now on, until after its commit. */
function holdsOf(lock: CleanupLock): readonly number[] {
  const holds: number[] = [];
  const tryRun = lock.tryRun.bind(lock);
  lock.tryRun = async (batch) => {
    let began = 0;
    const result = await tryRun(() => {
      began = performance.now();
      return batch();
    });
    holds.push(performance.now() - began);
    return result;
  };
  return holds;
}
