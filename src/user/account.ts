import { microseconds } from '../common/instant.js';

/** Whether the account can be used: it exists and is not disabled. */
export function isActive<User extends { disabledAt?: number | null }>(user: User | null): user is User {
  return user !== null && (user.disabledAt ?? null) === null;
}

/**
 * Whether the account's cutoff revokes what was proved or issued at `instant` (both epoch ms): up to and including the
 * cutoff, with microsecond precision. Without a cutoff nothing is revoked.
 */
export function isBeforeCutoff(instant: number, cutoff: number | null | undefined): boolean {
  // Negated, so that NaN is revoked too.
  return (cutoff ?? null) !== null && !(microseconds(instant) > microseconds(cutoff!));
}

/**
 * Whether the account's cutoff is still the one read before (epoch ms), with microsecond precision. Every new password,
 * disabling and "sign out everywhere" moves it.
 */
export function hasCutoff(user: { tokensInvalidatedAfter?: number | null }, cutoff: number | null): boolean {
  const now = user.tokensInvalidatedAfter ?? null;
  return now === null || cutoff === null ? now === cutoff : microseconds(now) === microseconds(cutoff);
}
