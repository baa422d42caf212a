import { seconds, type AuthOptions } from 'nestjs-latchkey';
import type { Promised } from './violations.js';

/** For every history that does not say otherwise: whatever comes again after a rotation ends the family. */
export const NO_GRACE = { rotationGrace: 0 };
export const PLAIN_PROMISE: Promised = { bound: 0, grace: 0 };

/** How stale a cached answer may be at most, on however busy a machine: what `cache.maxStaleness` promises. */
const MAX_STALENESS = seconds(1);
export const GRACE = seconds(2);

/** `local` is the negative control: caches that tell each other nothing. `url`: where they listen, if elsewhere. */
export function cachedAuth(
  channel: 'postgres' | 'local',
  { grace = 0, url }: { grace?: number; url?: string | undefined } = {},
): Partial<AuthOptions> {
  return {
    cache: { enabled: true, channel, url, maxStaleness: MAX_STALENESS, ttl: seconds(10), maxSessions: 10_000 },
    session: { rotationGrace: grace },
  };
}

/** Far below `ttl`, so that only an invalidation explains an answer that is right. */
export const CACHED_PROMISE: Promised = { bound: MAX_STALENESS, grace: 0 };
export const GRACEFUL_PROMISE: Promised = { ...CACHED_PROMISE, grace: GRACE };
