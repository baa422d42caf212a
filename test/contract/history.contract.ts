import { describe, expect, it } from '@jest/globals';
import { seconds } from 'nestjs-latchkey';
import { CACHED_PROMISE, cachedAuth, GRACE, GRACEFUL_PROMISE, PLAIN_PROMISE } from '../support/history/cached.js';
import type { History } from '../support/history/operation.js';
import { runHistory, type HistoryOptions } from '../support/history/run-history.js';
import { violationsOf, type Promised } from '../support/history/violations.js';

/** Where the processes keep their sessions, and by which way they reach it. */
export type HistoryPlace = Pick<HistoryOptions, 'databaseUrl' | 'redisUrls'> & {
  /** Where caches listen, if not by that way. */
  readonly cacheUrl?: string;
};

/** Of what the processes choose to do: told where a history fails. */
const SEED = 1;
const FULL = { seed: SEED, duration: seconds(5), operations: 10_000 };

/** What is promised of several processes that do everything at once, wherever the sessions are. */
export function historyContract(place: () => HistoryPlace): void {
  itExplainsEveryAnswer(place, FULL);

  it('the same checker catches processes that cache and tell each other nothing (negative control)', async () => {
    const { history } = await runHistory({ ...place(), ...FULL, naiveCache: seconds(10) });
    const rules = new Set(violationsOf(history, CACHED_PROMISE).map(({ rule }) => rule));
    expect([...rules]).toEqual(expect.arrayContaining(['stale', 'read your writes']));
  }, 180_000);

  describe('with caches', () => {
    it('no answer later than the bound after what ended it', async () => {
      const auth = cachedAuth('postgres', { grace: GRACE, url: place().cacheUrl });
      const { history, counts } = await runHistory({ ...place(), ...FULL, auth });
      expectKept(history, GRACEFUL_PROMISE);
      expect(counts.lookup.none).toBeGreaterThan(100);
    }, 180_000);

    it('the same checker catches caches without invalidation (negative control)', async () => {
      const auth = cachedAuth('local');
      const { history } = await runHistory({ ...place(), ...FULL, auth });
      expect(violationsOf(history, CACHED_PROMISE).length).toBeGreaterThan(0);
    }, 180_000);
  });
}

/** The first promise alone. */
export function itExplainsEveryAnswer(
  place: () => HistoryPlace,
  options: Pick<HistoryOptions, 'duration' | 'processes' | 'sessions' | 'users'> & { operations: number },
): void {
  it('no answer but one that some order of the operations explains', async () => {
    const { history, counts } = await runHistory({ ...place(), ...options, seed: SEED });
    expectKept(history, PLAIN_PROMISE);
    for (const { answered, none } of Object.values(counts)) expect(answered + none).toBeGreaterThan(0);
    expect(counts.lookup.none).toBeGreaterThan(options.operations / 100);
  }, 180_000);
}

function expectKept(history: History, promised: Promised): void {
  expect({ seed: SEED, violations: violationsOf(history, promised) }).toEqual({ seed: SEED, violations: [] });
}
