import { randomBytes, randomUUID } from 'node:crypto';
import { days, minutes, type AuthenticatedSession } from 'nestjs-latchkey';
import { LocalInvalidationChannel, MemorySessionCache, SystemClock } from 'nestjs-latchkey/engine';
import type { Start } from '../../harness/contender.js';

export interface CacheMemory {
  readonly sessions: number;
  readonly bytes: number;
}

/** What a full cache takes, after as many others have been in it and were pushed out, twice. Needs --expose-gc. */
export const cacheMemory: Start<{ sessions: number }, CacheMemory> = async ({ sessions }) => {
  const before = heap();
  const channel = new LocalInvalidationChannel();
  const cache = new MemorySessionCache({ max: sessions, ttl: minutes(10) }, new SystemClock(), channel);
  // Every session another user's, which is the most that the index can cost.
  for (let i = 0; i < 3 * sessions; i++) {
    const found = session(text(randomUUID()));
    cache.set(found.session.id, found);
  }
  const bytes = heap() - before;
  return { hello: { sessions: cache.size.sessions, bytes } };
};

const now = Date.now() + 0.125;
/** As the driver reads it: in one piece. What is put together of several is kept as these in memory. */
const text = (composed: string): string => Buffer.from(composed).toString('latin1');

/** As the store reads it: strings of their own, instants with microseconds. */
function session(userId: string): AuthenticatedSession {
  return {
    session: {
      id: randomBytes(32).toString('hex'),
      handle: text(randomUUID()),
      userId,
      createdAt: now + 0.25,
      expiresAt: now + days(30) + 0.25,
      absoluteExpiresAt: now + days(90) + 0.25,
      authenticatedAt: now - 0.5,
      lastSeenAt: now + 0.25,
      ip: text(`203.0.113.${Math.floor(Math.random() * 256)}`),
      userAgent: text(
        `Mozilla/5.0 (X11; Linux x86_64; rv:${randomBytes(3).toString('hex')}) Gecko/20100101 Firefox/131.0`,
      ),
      aal: 1,
      amr: [],
      data: {},
    },
    user: {
      id: userId,
      email: text(`${randomBytes(8).toString('hex')}@example.com`),
      disabledAt: null,
      tokensInvalidatedAfter: null,
    },
  };
}

function heap(): number {
  const { gc: collect } = globalThis as { gc?: () => void };
  if (!collect) throw new Error('It needs --expose-gc.');
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}
