import type { Bucket, BucketUsage } from './rate-limit.policy.js';

/** A bucket that is full. */
export interface FullBucket extends Bucket {
  /** The oldest event that counts: the bucket has room again when that has the age of the window. */
  readonly oldest: number;
}

/** What `full` has found. */
export interface FullBuckets {
  readonly buckets: readonly FullBucket[];
  /** Whether there are no others. */
  readonly isComplete: boolean;
}

/** At how many buckets one call of `full` looks, about. */
export const MOST_LOOKED_AT = 10_000;

/** The decision of `consume`, and the usage of each bucket before it, in the order asked. */
export interface ConsumeResult {
  readonly recorded: boolean;
  /** For `refund`, if it was recorded: the instant in each bucket, on the storage's clock. Default `now` in each. */
  readonly recordedAt?: readonly number[];
  readonly usage: readonly Omit<BucketUsage, 'newest'>[];
}

/**
 * Where rate-limit events are stored. Every implementation guarantees, and `test/contract/rate-limit-store.contract.ts`
 * checks:
 *
 * - An event counts while `occurredAt > now - window`: no longer at the exact age of the window.
 * - `consume` is one decision, atomic against every other in every process: however many events arrive at once, no
 *   window of a bucket ever holds more than `limit` consumed events, and as long as there is room one gets it.
 * - A fault of the storage is thrown, and means neither "room" nor "full".
 *
 * With a `Clock` that `isWallClock`, our own stores take the storage's clock in place of `now`, so that one clock
 * decides for all processes. What they answer is on the caller's clock, but for `recordedAt`.
 */
export abstract class RateLimitStore {
  /** Whether expired entries disappear by themselves, so that the cleanup has nothing to do. */
  readonly expiresByItself: boolean = false;

  /**
   * Records one event in each of these different buckets or, if one of them is full, in none. A refusal writes nothing
   * and waits for no lock, so that a hammered subject costs little.
   */
  abstract consume(buckets: readonly Bucket[], now: number): Promise<ConsumeResult>;

  /** The current usage of the bucket. */
  abstract read(bucket: Bucket, now: number): Promise<BucketUsage>;

  /** Records an event, full or not. */
  abstract record(bucket: Bucket, now: number): Promise<void>;

  /**
   * Buckets of these policies that are full, at most `limit` of them. Its work is bounded, whatever is stored: it stops
   * after about `MOST_LOOKED_AT` buckets. For operators.
   */
  abstract full(policies: readonly Omit<Bucket, 'subject'>[], now: number, limit: number): Promise<FullBuckets>;

  /** Removes one event of exactly this instant, as `consume` answered it. False if there is none. */
  abstract refund(bucket: Bucket, at: number): Promise<boolean>;

  /** Empties the bucket. Returns the number of events it held, including expired ones. */
  abstract clear(bucket: Pick<Bucket, 'event' | 'subject'>): Promise<number>;

  /** Deletes at most `limit` events that happened up to this instant, of any bucket. Returns the number deleted. */
  abstract deleteOlderThan(instant: number, limit: number): Promise<number>;
}
