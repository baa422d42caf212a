import type { Duration } from '../common/duration.js';
import type { Instant } from '../common/instant.js';

/** What a session is opened with, whose user has come back from a provider. */
export interface ProofBounds {
  readonly now: Instant;
  /** Of the session, which is counted from the proof. */
  readonly absoluteLifetime: Duration;
  /** A proof of this age is not fresh any more. */
  readonly freshness: Duration;
  /** Whether the login itself counts where the provider says no time. */
  readonly isFreshWithout: boolean;
}

/**
 * When the user has proved who they are, as the provider says (`auth_time`). Where it says nothing, that may have been long
 * ago: then it is too old to be fresh, and no older than leaves the session the half of its lifetime. An older one that the
 * provider says counts as that too, or its session would be over at once. `isStale`: in both of these cases it was, or may
 * have been, longer ago than `at`.
 */
export function provedAt(
  authTime: Instant | undefined,
  { now, absoluteLifetime, freshness, isFreshWithout }: ProofBounds,
): { readonly at: Instant; readonly isStale: boolean } {
  const half = absoluteLifetime / 2;
  const oldest = now - (freshness < absoluteLifetime ? Math.max(half, freshness) : half);
  const told = authTime ?? (isFreshWithout ? now : Number.NEGATIVE_INFINITY);
  return { at: Math.min(Math.max(told, oldest), now), isStale: told < oldest };
}
