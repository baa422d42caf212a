import { ThrottlerStorageService } from '@nestjs/throttler';
import { RateLimitService } from 'nestjs-latchkey';
import { Pool } from 'pg';
import { RateLimiterPostgres, RateLimiterRedis, type RateLimiterAbstract } from 'rate-limiter-flexible';
import { createClient } from 'redis';
import type { Running } from '../../harness/contender.js';
import { CONCURRENCY, startContext } from '../our-app.js';
import { LIMIT, WINDOW } from './policy.js';
import { underTraffic, type Admitted, type Decide, type Traffic } from './traffic.js';

export interface RateLimitArgs {
  readonly traffic: Traffic;
  readonly url: string;
  readonly redisUrl: string | null;
  /** Whether a process may refuse a blocked subject by what it remembers. */
  readonly remembers?: boolean;
  /** Whether a recorded event waits for the disk. */
  readonly durable?: boolean;
}

/** Of rate-limiter-flexible. */
export const PEER_TABLE = 'peer';

type Limiter = Promise<Running<Admitted>>;

const POLICY = { points: LIMIT, duration: WINDOW / 1000 };

export async function latchkey({ traffic, url, remembers, durable }: RateLimitArgs): Limiter {
  const policies = { '2fa_attempt': { limit: LIMIT, window: WINDOW } };
  const rateLimits = { rememberedBlocks: remembers ? 10_000 : 0, policies, durable };
  const app = await startContext({ url, auth: { rateLimits } });
  const limits = app.get(RateLimitService);
  const decide: Decide = async (subject) => (await limits.consume('2fa_attempt', subject)).allowed;
  const running = await underTraffic(traffic, decide, () => app.close());
  const { admitted } = running.hello!;
  if (admitted !== LIMIT) throw new Error(`Ours admitted ${admitted} at a limit of ${LIMIT}.`);
  return running;
}

export async function flexiblePostgres({ traffic, url, remembers }: RateLimitArgs): Limiter {
  const pool = new Pool({ connectionString: url, max: CONCURRENCY });
  const limiter = new RateLimiterPostgres({
    ...POLICY,
    storeClient: pool,
    tableName: PEER_TABLE,
    tableCreated: true,
    clearExpiredByTimeout: false,
    ...(remembers ? { inMemoryBlockOnConsumed: LIMIT } : {}),
  });
  return underTraffic(traffic, flexible(limiter), () => pool.end());
}

export async function flexibleRedis({ traffic, redisUrl }: RateLimitArgs): Limiter {
  const client = await createClient({ url: redisUrl! }).connect();
  const limiter = new RateLimiterRedis({ ...POLICY, storeClient: client, useRedisPackage: true });
  return underTraffic(traffic, flexible(limiter), () => client.close());
}

export async function throttler({ traffic }: RateLimitArgs): Limiter {
  const storage = new ThrottlerStorageService();
  const decide: Decide = async (subject) =>
    !(await storage.increment(subject, WINDOW, LIMIT, WINDOW, 'default')).isBlocked;
  return underTraffic(traffic, decide, async () => storage.onApplicationShutdown());
}

/** It rejects with what is no error when it refuses. */
function flexible(limiter: RateLimiterAbstract): Decide {
  return async (subject) => {
    try {
      await limiter.consume(subject);
      return true;
    } catch (refusal) {
      if (refusal instanceof Error) throw refusal;
      return false;
    }
  };
}
