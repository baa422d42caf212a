import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { seconds } from 'nestjs-latchkey';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
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
    expect(violationsOf(history, { bound: 0 })).toEqual([]);
    for (const { answered, none } of Object.values(counts)) expect(answered + none).toBeGreaterThan(10);
    expect(counts.lookup.none).toBeGreaterThan(100);
  }, 60_000);

  it('the same checker catches processes that cache and tell each other nothing (negative control)', async () => {
    const { history } = await runHistory({ databaseUrl: db.url, duration: seconds(3), naiveCache: seconds(10) });
    const rules = new Set(violationsOf(history, { bound: seconds(1) }).map(({ rule }) => rule));
    expect([...rules]).toEqual(expect.arrayContaining(['stale', 'read your writes']));
  }, 60_000);
});
