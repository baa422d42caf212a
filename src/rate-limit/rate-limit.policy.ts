import { isIP } from 'node:net';
import { subjectOfAddress } from '../common/ip-address.js';
import type { BackoffSettings, RateLimitPolicy, RateLimitSettings } from '../config/rate-limit-settings.js';
import { columnKey } from '../crypto/hash.js';
import { normalizeLogin } from '../user/login-name.js';

/** Counts one event for one subject. */
export interface Bucket {
  readonly event: string;
  /** As stored: normalised, and hashed if it would not fit its column. */
  readonly subject: string;
  readonly limit: number;
  readonly window: number;
}

/** The content of a bucket: of the events younger than `window`, at most the newest `limit`. Instants are epoch ms. */
export interface BucketUsage {
  readonly used: number;
  readonly oldest: number | null;
  readonly newest: number | null;
}

const MAX_SUBJECT_LENGTH = 150;
/** No text has this key: `columnKey` hashes anything that begins like it. */
const UNKNOWN = 'sha256:unknown';
const UNKNOWN_FACTOR = 10;

/**
 * The bucket of a subject: an account's login name in its canonical spelling, or a client's address, IPv6 by /64 and
 * v4-mapped as IPv4. `null` is a client whose address is unknown: all of them share one bucket with ten times the
 * limit, so that an attacker without an address is neither unlimited nor able to lock out everyone else without one.
 */
export function bucketOf(event: string, { limit, window }: RateLimitPolicy, subject: string | null): Bucket {
  if (subject === null) return { event, subject: UNKNOWN, limit: limit * UNKNOWN_FACTOR, window };
  return { event, subject: subjectKey(subject), limit, window };
}

export function subjectKey(subject: string): string {
  if (typeof subject !== 'string')
    throw new TypeError('The subject of a rate limit must be a string: a login name or an address.');
  const name = normalizeLogin(subject);
  const address = isIP(name) !== 0 || name.endsWith('/64') ? subjectOfAddress(name) : null;
  return address ?? columnKey(name, MAX_SUBJECT_LENGTH);
}

/**
 * When the next slot frees up: the moment the oldest counted event leaves the window. In a bucket over its limit
 * (because the policy was lowered), that is the oldest of the newest `limit` events.
 */
export function resetAt(
  { window }: Pick<Bucket, 'window'>,
  { oldest }: Pick<BucketUsage, 'oldest'>,
  now: number,
): number {
  return (oldest ?? now) + window;
}

/** The longest window in use; older events can be deleted. */
export function longestWindow({ policies, backoff }: RateLimitSettings): number {
  return Math.max(backoff.window, ...Object.values(policies).map(({ window }) => window));
}

/**
 * Whole seconds until `instant`, rounded up and at least 1, so that a client that waits for them is not refused again.
 */
export function secondsUntil(instant: number, now: number): number {
  return Math.max(1, Math.ceil((instant - now) / 1000));
}

/** The delay after the n-th failure in a row: 0.5, 1, 2, 4, 5, 5 s. */
export function backoffDelay(failures: number, { base, maxDelay }: BackoffSettings): number {
  return failures < 1 ? 0 : Math.min(base * 2 ** (failures - 1), maxDelay);
}

/** The number of failures at which the delay is longest; more of them need not be counted. */
export function backoffSteps(settings: BackoffSettings): number {
  let failures = 1;
  while (backoffDelay(failures, settings) < settings.maxDelay) failures++;
  return failures;
}
