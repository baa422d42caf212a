import { isIP } from 'node:net';
import { subjectOfAddress } from '../common/ip-address.js';
import type { BackoffSettings, RateLimitPolicy, RateLimitSettings } from '../config/rate-limit-settings.js';
import { columnKey } from '../crypto/hash.js';
import { normalizeLogin } from '../user/login-name.js';

/** What one event of one subject is counted in. */
export interface Bucket {
  readonly event: string;
  /** As stored: normalised, and hashed where it would not fit its column. */
  readonly subject: string;
  readonly limit: number;
  readonly window: number;
}

/** What a bucket holds: of the events younger than `window` at most the `limit` newest. Instants are epoch ms. */
export interface BucketUsage {
  readonly used: number;
  readonly oldest: number | null;
  readonly newest: number | null;
}

const MAX_SUBJECT_LENGTH = 150;
/** No text has this key: `columnKey` hashes whatever begins like it. */
const UNKNOWN = 'sha256:unknown';
const UNKNOWN_FACTOR = 10;

/**
 * The bucket of a subject: an account's login name in its one spelling, or a client's address, IPv6 by /64 and
 * v4-mapped as IPv4. `null` is a client whose address is not known: all of them share one bucket of ten times the
 * limit, since an attacker who hides must not be unlimited, nor lock out everybody else who does.
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
 * When the next unit comes back: the oldest counted event has then the exact age of the window. Of a bucket that holds
 * more than its limit (its policy was lowered) that is not the oldest of all, but the oldest of the newest `limit`.
 */
export function resetAt(
  { window }: Pick<Bucket, 'window'>,
  { oldest }: Pick<BucketUsage, 'oldest'>,
  now: number,
): number {
  return (oldest ?? now) + window;
}

/** The longest that any event counts for: of this age and older it is of no use. */
export function longestWindow({ policies, backoff }: RateLimitSettings): number {
  return Math.max(backoff.window, ...Object.values(policies).map(({ window }) => window));
}

/** Whole seconds until `instant`, rounded up, so that a client that waits them is not refused again. At least 1. */
export function secondsUntil(instant: number, now: number): number {
  return Math.max(1, Math.ceil((instant - now) / 1000));
}

/** The delay after the n-th failure in a row: 0.5, 1, 2, 4, 5, 5 s. */
export function backoffDelay(failures: number, { base, maxDelay }: BackoffSettings): number {
  return failures < 1 ? 0 : Math.min(base * 2 ** (failures - 1), maxDelay);
}

/** From this many failures on the delay is the longest, so more of them need not be counted. */
export function backoffSteps(settings: BackoffSettings): number {
  let failures = 1;
  while (backoffDelay(failures, settings) < settings.maxDelay) failures++;
  return failures;
}
