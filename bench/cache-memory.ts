/* oxlint-disable no-console */
// What a cached session costs. Run: node --expose-gc --import ./test/support/register.js bench/cache-memory.ts [count]
import { randomBytes, randomUUID } from 'node:crypto';
import { days, MemorySessionCache, minutes, SystemClock, type AuthenticatedSession } from 'nestjs-latchkey';

const count = Number(process.argv[2] ?? 100_000);
const collect = (globalThis as { gc?: () => void }).gc;
if (!collect) throw new Error('Run it with --expose-gc.');

const now = Date.now() + 0.125;
/** As the store reads it: strings of their own, instants with microseconds. */
function session(userId: string): AuthenticatedSession {
  return {
    session: {
      id: randomBytes(32).toString('hex'),
      handle: randomUUID(),
      userId,
      createdAt: now + 0.25,
      expiresAt: now + days(30) + 0.25,
      absoluteExpiresAt: now + days(90) + 0.25,
      authenticatedAt: now - 0.5,
      lastSeenAt: now + 0.25,
      ip: `203.0.113.${Math.floor(Math.random() * 256)}`,
      userAgent: `Mozilla/5.0 (X11; Linux x86_64; rv:${randomBytes(3).toString('hex')}) Gecko/20100101 Firefox/131.0`,
    },
    user: {
      id: userId,
      email: `${randomBytes(8).toString('hex')}@example.com`,
      disabledAt: null,
      tokensInvalidatedAfter: null,
    },
  };
}

function heap(): number {
  collect!();
  collect!();
  return process.memoryUsage().heapUsed;
}

const before = heap();
const cache = new MemorySessionCache({ max: count, ttl: minutes(10) }, new SystemClock());
// Every session another user's, which is the most that the index can cost.
for (let i = 0; i < 3 * count; i++) {
  const found = session(randomUUID());
  cache.set(found.session.id, found);
}
const bytes = heap() - before;
const { sessions, users } = cache.size;
console.log(
  `${sessions} sessions of ${users} users (${3 * count} were put in): ${(bytes / 2 ** 20).toFixed(1)} MiB, ` +
    `${Math.round(bytes / sessions)} bytes a session`,
);
