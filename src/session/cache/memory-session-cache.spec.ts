import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { days, seconds } from '../../common/duration.js';
import { FrozenClock } from '../../testing/frozen-clock.js';
import type { AuthenticatedSession } from '../session.js';
import { MemorySessionCache } from './memory-session-cache.js';
import { NoopSessionCache } from './noop-session-cache.js';

const session = (id: string, userId: string): AuthenticatedSession => ({
  session: {
    id,
    handle: id,
    userId,
    createdAt: 0,
    expiresAt: days(30),
    absoluteExpiresAt: days(90),
    authenticatedAt: 0,
    aal: 1,
    amr: [],
    lastSeenAt: 0,
    ip: null,
    userAgent: null,
    data: {},
  },
  user: { id: userId, email: `${userId}@example.com` },
});

describe('MemorySessionCache', () => {
  const clock = new FrozenClock();
  const cacheOf = (max = 10) => new MemorySessionCache({ max, ttl: seconds(10) }, clock, { digest: (_kind, id) => id });

  it('answers what was set, until the exact instant of its ttl, asked for or not', () => {
    const cache = cacheOf();
    const found = session('a', 'ada');
    cache.set('a', found);
    clock.advance(seconds(10) - 0.001);
    expect(cache.get('a')).toBe(found);
    clock.advance(0.001);
    expect(cache.get('a')).toBeUndefined();
    expect(cache.size).toEqual({ sessions: 0, users: 0 });
  });

  it('a clock that is set back makes nothing last longer', () => {
    const cache = cacheOf();
    cache.set('a', session('a', 'ada'));
    clock.advance(-seconds(3600));
    expect(cache.get('a')).toBeUndefined();
    clock.advance(seconds(3600));
  });

  it('drops the least recently used beyond its bound', () => {
    const cache = cacheOf(2);
    cache.set('a', session('a', 'ada'));
    cache.set('b', session('b', 'bob'));
    cache.get('a');
    cache.set('c', session('c', 'eve'));
    expect(['a', 'b', 'c'].map((id) => cache.get(id) !== undefined)).toEqual([true, false, true]);
  });

  it('invalidates one, all of one user, and all', () => {
    const cache = cacheOf();
    for (const [id, userId] of [
      ['a1', 'ada'],
      ['a2', 'ada'],
      ['b1', 'bob'],
      ['b2', 'bob'],
    ] as const) {
      cache.set(id, session(id, userId));
    }
    const left = () => ['a1', 'a2', 'b1', 'b2'].filter((id) => cache.get(id));
    cache.invalidate('b1');
    expect(left()).toEqual(['a1', 'a2', 'b2']);
    cache.invalidateByUser('ada');
    expect(left()).toEqual(['b2']);
    cache.invalidateByUser('nobody');
    cache.clear();
    expect(left()).toEqual([]);
    expect(cache.size).toEqual({ sessions: 0, users: 0 });
  });

  it('the index holds exactly the users of the entries, whatever happens', () => {
    const ids = fc.constantFrom('1', '2', '3', '4', '5');
    const users = fc.constantFrom('ada', 'bob', 'eve');
    const step = fc.oneof(
      fc.record({ do: fc.constant('set' as const), id: ids, userId: users }),
      fc.record({ do: fc.constant('invalidate' as const), id: ids }),
      fc.record({ do: fc.constant('user' as const), userId: users }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 11_000 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const cache = cacheOf(3);
        for (const one of steps) {
          if (one.do === 'set') cache.set(one.id, session(one.id, one.userId));
          if (one.do === 'invalidate') cache.invalidate(one.id);
          if (one.do === 'user') cache.invalidateByUser(one.userId);
          if (one.do === 'wait') clock.advance(one.ms);
        }
        const found = ['1', '2', '3', '4', '5'].map((id) => cache.get(id)).filter((entry) => entry !== undefined);
        expect(cache.size).toEqual({ sessions: found.length, users: new Set(found.map(({ user }) => user.id)).size });
      }),
      { numRuns: 300 },
    );
  });

  it('R34: 100,000 sessions of as many users stay within the bound, the index too', () => {
    const cache = cacheOf(1_000);
    for (let i = 0; i < 100_000; i++) cache.set(`s${i}`, session(`s${i}`, `u${i}`));
    expect(cache.size).toEqual({ sessions: 1_000, users: 1_000 });
  });
});

describe('NoopSessionCache', () => {
  it('keeps nothing, and takes every call', () => {
    const cache = new NoopSessionCache();
    cache.set('a', session('a', 'ada'));
    cache.invalidate('a');
    cache.invalidateByUser('ada');
    cache.clear();
    expect(cache.get('a')).toBeUndefined();
  });
});
