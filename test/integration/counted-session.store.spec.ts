import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { days, type Session } from 'nestjs-latchkey';
import { SessionStore } from 'nestjs-latchkey/engine';
import { AuthMetrics } from '../../src/metrics/auth-metrics.js';
import { CountedSessionStore } from '../../src/metrics/counted-session.store.js';
import { OpaqueTokens } from '../../src/session/opaque-tokens.js';
import { sessionStoreContract } from '../contract/session-store.contract.js';
import { createUser, startTestApp } from '../support/app.js';
import { createTestDatabase } from '../support/database.js';
import { sharedTestApp } from '../support/shared-app.js';
import { countsOf } from '../support/session-stores.js';

/** An SDK that keeps only the results of lookups, in order. */
function meterOf(results: string[]): Promise<AuthMetrics> {
  const meter = {
    createCounter: (name: string) => ({
      add: (_: number, { result }: { result: string }) => {
        if (name === 'latchkey.session.lookups') results.push(result);
      },
    }),
    createHistogram: () => ({ record: () => {} }),
  };
  return AuthMetrics.load(async () => ({ metrics: { getMeter: () => meter }, createNoopMeter: () => null }));
}

sessionStoreContract('counted', async () => {
  const db = await createTestDatabase();
  const t = await startTestApp({ url: db.url });
  const [ada, bob] = [await createUser(t.app, 'ada@example.com'), await createUser(t.app, 'bob@example.com')];
  return {
    store: new CountedSessionStore(t.app.get(SessionStore), await meterOf([])),
    ada: ada.id,
    bob: bob.id,
    unknownUser: '00000000-0000-4000-8000-00000000dead',
    ...countsOf(db),
    close: async () => {
      await t.close();
      await db.drop();
    },
  };
});

describe('CountedSessionStore', () => {
  const results: string[] = [];
  const tokens = new OpaqueTokens();
  const t = sharedTestApp({ auth: { cache: { enabled: true, channel: 'local' } } });
  let store: CountedSessionStore;
  let session: Session;
  beforeAll(async () => {
    store = new CountedSessionStore(t.app.get(SessionStore), await meterOf(results));
  });
  beforeEach(async () => {
    const { id: userId } = await createUser(t.app, `${tokens.issue()}@example.com`);
    const now = t.clock.now();
    const lifetimes = { now, ttl: days(1), absoluteLifetime: days(1), authenticatedAt: now, maxPerUser: 25 };
    const from = { replaces: null, successor: null, rotationGrace: 0, ip: null, userAgent: null };
    session = (await store.open({ id: tokens.idOf(tokens.issue())!, userId, ...lifetimes, ...from }))!.session;
    results.length = 0;
  });

  it('says of its store whether it remembers and joins transactions', () => {
    const { hasCache, joinsTransactions } = t.app.get(SessionStore);
    expect([store.hasCache, store.joinsTransactions]).toEqual([hasCache, joinsTransactions]);
    expect(hasCache).toBe(true);
  });

  it('counts a read, then what memory answers, by find as by recall, once each', async () => {
    const read = await store.find(session.id);
    expect(results).toEqual(['miss']);
    expect(await store.find(session.id)).toEqual(read);
    expect(store.findCached(session.id, () => true)).toEqual(read);
    expect(results).toEqual(['miss', 'hit', 'hit']);
  });

  it('counts each of those who share one read as a miss', async () => {
    await Promise.all([store.find(session.id), store.find(session.id)]);
    expect(results).toEqual(['miss', 'miss']);
  });

  it('counts nothing where recall leaves it to find', async () => {
    expect(store.findCached(session.id, () => true)).toBeUndefined();
    await store.find(session.id);
    expect(store.findCached(session.id, () => false)).toBeUndefined();
    expect(results).toEqual(['miss']);
  });

  it('counts none for a session that there is not, and nothing for the question whether the store is there', async () => {
    expect(await store.find(tokens.idOf(tokens.issue())!)).toBeNull();
    expect(await store.find('')).toBeNull();
    expect(results).toEqual(['none']);
  });

  it('counts a fault, and throws it as it was', async () => {
    const fault = new Error('away');
    const away = Object.assign(Object.create(t.app.get(SessionStore)) as SessionStore, {
      find: () => Promise.reject(fault),
    });
    await expect(new CountedSessionStore(away, await meterOf(results)).find(session.id)).rejects.toBe(fault);
    expect(results).toEqual(['error']);
  });
});
