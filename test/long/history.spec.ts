import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { seconds } from 'nestjs-latchkey';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { CACHED_PROMISE, cachedAuth, GRACE, GRACEFUL_PROMISE, PLAIN_PROMISE } from '../support/history/cached.js';
import { runHistory } from '../support/history/run-history.js';
import { violationsOf } from '../support/history/violations.js';

describe('three processes, 2,000 sessions, everything at once', () => {
  let db: TestDatabase;
  beforeEach(async () => {
    db = await createTestDatabase();
  });
  afterEach(() => db?.drop());

  it('no answer but one that some order of the operations explains', async () => {
    const { history, counts } = await runHistory({ databaseUrl: db.url, duration: seconds(5) });
    expect(violationsOf(history, PLAIN_PROMISE)).toEqual([]);
    for (const { answered, none } of Object.values(counts)) expect(answered + none).toBeGreaterThan(0);
    expect(counts.lookup.none).toBeGreaterThan(100);
  }, 60_000);

  it('the same checker catches processes that cache and tell each other nothing (negative control)', async () => {
    const { history } = await runHistory({ databaseUrl: db.url, duration: seconds(3), naiveCache: seconds(10) });
    const rules = new Set(violationsOf(history, CACHED_PROMISE).map(({ rule }) => rule));
    expect([...rules]).toEqual(expect.arrayContaining(['stale', 'read your writes']));
  }, 60_000);

  describe('with caches', () => {
    it('no answer later than the bound after what ended it', async () => {
      const auth = cachedAuth('postgres', { grace: GRACE });
      const { history, counts } = await runHistory({ databaseUrl: db.url, duration: seconds(5), auth });
      expect(violationsOf(history, GRACEFUL_PROMISE)).toEqual([]);
      expect(counts.lookup.none).toBeGreaterThan(100);
    }, 60_000);

    it('the same checker catches caches without invalidation (negative control)', async () => {
      const auth = cachedAuth('local');
      const { history } = await runHistory({ databaseUrl: db.url, duration: seconds(5), auth });
      expect(violationsOf(history, CACHED_PROMISE).length).toBeGreaterThan(0);
    }, 60_000);
  });
});
