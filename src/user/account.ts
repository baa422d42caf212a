import { microseconds } from '../common/instant.js';

/** Whether the account may be used at all: it exists and is not disabled. */
export function isActive<User extends { disabledAt?: number | null }>(user: User | null): user is User {
  return user !== null && (user.disabledAt ?? null) === null;
}

/**
 * Whether what was proved or issued at `instant` has been revoked by the account's cutoff (both epoch ms): up to and at
 * the cutoff, at the microsecond. Without a cutoff nothing is revoked.
 */
export function isBeforeCutoff(instant: number, cutoff: number | null | undefined): boolean {
  // The negation also refuses an instant that is no number.
  return (cutoff ?? null) !== null && !(microseconds(instant) > microseconds(cutoff!));
}

/**
 * Whether the account's cutoff is still the one that was read before (epoch ms), at the microsecond. Every new password,
 * disabling and "sign out everywhere" moves it.
 */
export function hasCutoff(user: { tokensInvalidatedAfter?: number | null }, cutoff: number | null): boolean {
  const now = user.tokensInvalidatedAfter ?? null;
  return now === null || cutoff === null ? now === cutoff : microseconds(now) === microseconds(cutoff);
}
