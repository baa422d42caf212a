import type { INestApplicationContext } from '@nestjs/common';
import { days } from 'nestjs-latchkey';
import { SessionStore } from 'nestjs-latchkey/engine';
import type { TestDatabase } from './database.js';
import type { RedisEyes, RedisWriter } from './redis-engine.js';
import { redisUrls } from './variant.js';

type Kind = 'sessions' | 'auth_ephemeral_tokens';
const LETTERS: Record<Kind, [hashes: string, pointers: string]> = {
  sessions: ['u:', 's:'],
  auth_ephemeral_tokens: ['a:', 't:'],
};

/** Everything that is kept of this kind, as one text; empty where there is nothing. */
export async function storedText(db: TestDatabase, kind: Kind): Promise<string> {
  if (redisUrls() === null) {
    const rows = await db.query(`SELECT * FROM ${kind}`);
    return rows.length === 0 ? '' : JSON.stringify(rows);
  }
  return onRedis(db, async (eyes) => {
    const hashes = await eyes.hashes(LETTERS[kind][0]);
    const pointers = (await eyes.ttls()).map(([key]) => key).filter((key) => key.includes(`:${LETTERS[kind][1]}`));
    return hashes.length === 0 ? '' : JSON.stringify([hashes, pointers]);
  });
}

/** Makes every read of a session a fault; answers how to undo it. */
export async function hideSessions(db: TestDatabase): Promise<() => Promise<unknown>> {
  if (redisUrls() === null) {
    await db.query('ALTER TABLE sessions RENAME TO gone');
    return () => db.query('ALTER TABLE gone RENAME TO sessions');
  }
  return onRedis(db, async (eyes, redis) => {
    const kept = await eyes.hashes('u:');
    // Of the wrong type: every command on it is refused.
    for (const [key] of kept) await redis.set(key, 'none', { expiration: { type: 'EX', value: 600 } });
    return () =>
      onRedis(db, async (_, again) => {
        for (const [key, rows] of kept) {
          await again.del(key);
          await again.hSet(key, rows);
        }
      });
  });
}

/** Moves the expiry of every session that is not rotated. */
export async function expireSessionsAt(db: TestDatabase, instant: number): Promise<void> {
  if (redisUrls() === null) {
    await db.query(`UPDATE sessions SET expires_at = to_timestamp($1) WHERE rotated_at IS NULL`, [instant / 1000]);
    return;
  }
  await onRedis(db, async (eyes, redis) => {
    for (const [key, rows] of await eyes.hashes('u:')) {
      for (const [id, row] of Object.entries(rows)) {
        const words = row.split(' ');
        if (words[6] !== '~') continue;
        words[2] = String(instant);
        await redis.hSet(key, id, words.join(' '));
      }
    }
  });
}

/** Every rotation was this much earlier, in milliseconds, than it was. */
export async function ageRotations(db: TestDatabase, by: number): Promise<void> {
  if (redisUrls() === null) {
    await db.query(`UPDATE sessions SET rotated_at = rotated_at - make_interval(secs => $1)`, [by / 1000]);
    return;
  }
  await onRedis(db, async (eyes, redis) => {
    for (const [key, rows] of await eyes.hashes('u:')) {
      for (const [id, row] of Object.entries(rows)) {
        const words = row.split(' ');
        if (words[6] === '~') continue;
        words[6] = String(Number(words[6]) - by);
        await redis.hSet(key, id, words.join(' '));
      }
    }
  });
}

/** A session that another program has put there, with the columns of seed 002 (where there are columns). */
export async function plantSession(
  app: INestApplicationContext,
  db: TestDatabase,
  id: string,
  userId: string,
): Promise<void> {
  if (redisUrls() === null) {
    await db.query(
      `INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES ($1, $2, '2025-01-01', '2025-01-20')`,
      [id, userId],
    );
    return;
  }
  await app.get(SessionStore).open({
    id,
    userId,
    now: Date.UTC(2025, 0, 1),
    ttl: days(19),
    absoluteLifetime: days(90),
    authenticatedAt: Date.UTC(2025, 0, 1),
    replaces: null,
    successor: null,
    rotationGrace: 0,
    maxPerUser: 25,
    ip: null,
    userAgent: null,
  });
}

async function onRedis<T>(db: TestDatabase, work: (eyes: RedisEyes, redis: RedisWriter) => Promise<T>): Promise<T> {
  const urls = redisUrls()!;
  // The other variants need not load node-redis, a fifth of a second for each test file.
  const { lookInto, prefixFor, writeTo } = await import('./redis-engine.js');
  const eyes = await lookInto(urls, prefixFor(db.url));
  const redis = await writeTo(urls);
  try {
    return await work(eyes, redis);
  } finally {
    eyes.close();
    redis.destroy();
  }
}
