import { seconds, type AuthOptions } from 'nestjs-latchkey';
import type { Promised } from './violations.js';

/**
 * AFTER THE MERGE of the session cache: `true`, and everything that waits for it runs (`test/integration/history.spec.ts`,
 * `bench/history.ts`, `bench/revocation-latency.ts`). Until then the options are refused at boot.
 */
export const CACHE_IS_THERE: boolean = false;
/** AFTER THE MERGE of `session.rotationGrace`: `true`. Its use after the grace then ends the family, whatever the grace. */
export const GRACE_IS_THERE: boolean = false;

/** For every history that does not say otherwise. */
export const NO_GRACE: object = GRACE_IS_THERE ? { rotationGrace: 0 } : {};
const PROMISED_GRACE = GRACE_IS_THERE ? 0 : null;
export const PLAIN_PROMISE: Promised = { bound: 0, grace: PROMISED_GRACE };

/** How stale a cached answer may be at most while the channel is down. */
export const MAX_STALENESS = seconds(5);
export const GRACE = seconds(2);

/** `local` is the negative control: caches that tell each other nothing. */
export function cachedAuth(channel: 'postgres' | 'local', { grace = 0 } = {}): Partial<AuthOptions> {
  const options = {
    cache: { enabled: true, channel, maxStaleness: MAX_STALENESS, ttl: seconds(10), maxSessions: 10_000 },
    ...(GRACE_IS_THERE && { session: { rotationGrace: grace } }),
  };
  return (CACHE_IS_THERE ? options : {}) as object;
}

/**
 * With nothing broken a revocation is everywhere in milliseconds; the bound leaves a busy machine a second. It is below
 * what the caches keep by themselves, so that only an invalidation explains an answer that is right.
 */
export const CACHED_PROMISE: Promised = { bound: seconds(1), grace: PROMISED_GRACE };
export const GRACEFUL_PROMISE: Promised = { ...CACHED_PROMISE, grace: GRACE_IS_THERE ? GRACE : null };
