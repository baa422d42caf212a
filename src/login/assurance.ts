import type { Duration } from '../common/duration.js';
import type { Instant } from '../common/instant.js';
import type { AssuranceSettings } from '../config/assurance-settings.js';
import type { AssuranceLevel } from '../session/session.js';

/** What makes two factors of a password: something that its owner has. */
const POSSESSIONS: ReadonlySet<string> = new Set(['totp', 'passkey-presence', 'backup-code']);

/**
 * The assurance of these proofs together (NIST SP 800-63B-4, section 2.2):
 *
 * - `passkey`, which is one whose user was verified (PIN or biometrics), is 2 by itself. Without that it is
 *   `passkey-presence`, a single factor.
 * - `oidc-mfa` is an identity provider whose login was worth two factors, as `assurance` of that provider has it; `oidc` is
 *   one of which that is not known.
 * - `password` with `totp`, `passkey-presence` or `backup-code` is 2.
 * - Everything else is 1. A mailed code or link proves a mailbox and no factor (section 3.1.3.1), but for a code with
 *   `assurance: { emailCounts: true }`. What a method of the application's own is worth is not known here.
 *
 * @example
 * ```ts
 * aalOf(['password']); // 1
 * aalOf(['password', 'totp']); // 2
 * aalOf(['password', 'email-code']); // 1
 * aalOf(['password', 'email-code'], { emailCounts: true }); // 2
 * ```
 */
export function aalOf(
  amr: readonly string[],
  { emailCounts = false }: Partial<AssuranceSettings> = {},
): AssuranceLevel {
  if (amr.includes('passkey') || amr.includes('oidc-mfa')) return 2;
  const isPossession = (method: string) => POSSESSIONS.has(method) || (emailCounts && method === 'email-code');
  return amr.includes('password') && amr.some(isPossession) ? 2 : 1;
}

/** These proofs and further ones, each once, in the order of the first. */
export function joinedProofs(amr: readonly string[], more: readonly string[]): string[] {
  return [...new Set([...amr, ...more])];
}

/**
 * Beside the proofs of a session that are older than `authenticatedAt` says, since it counts from when everything of the
 * account has ended: it is not fresh until its user proves more.
 */
export const STALE = 'stale';

/** These proofs, once their user has proved more. */
export const provedAnew = (amr: readonly string[]): string[] => amr.filter((method) => method !== STALE);

/** Whether the user of this session has proved who they are within `maxAge`; at the exact instant not any more. */
export function isFresh(
  { authenticatedAt, amr }: { readonly authenticatedAt: Instant; readonly amr: readonly string[] },
  { now, maxAge }: { readonly now: Instant; readonly maxAge: Duration },
): boolean {
  return now - authenticatedAt < maxAge && !amr.includes(STALE);
}

/** What the name of a proof looks like. */
export const METHOD = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/;
const MAX_METHODS = 16;

/** Each method once. Throws a `TypeError` for a name that cannot be stored. */
export function checkedProofs(proofs: readonly string[]): string[] {
  const methods = joinedProofs(proofs, []);
  if (methods.length <= MAX_METHODS && methods.every((method) => METHOD.test(method))) return methods;
  throw new TypeError(
    `The proofs of a login must be at most ${MAX_METHODS} names such as 'password' or 'saml': a letter or digit, then up ` +
      'to 63 letters, digits and . _ : / -',
  );
}

/** What a session would have to prove in addition. Several at once are all lacking. */
export interface LackingAssurance {
  readonly aal?: AssuranceLevel;
  /** A proof that is not as old as this. */
  readonly maxAge?: Duration;
  /** One of these methods. */
  readonly amr?: readonly string[];
}

/** What is lacking altogether: of two ages the shorter one, of two lists of methods the first. */
export function joinedLack(one: LackingAssurance | null, other: LackingAssurance): LackingAssurance {
  if (one === null) return other;
  const maxAge = Math.min(one.maxAge ?? Infinity, other.maxAge ?? Infinity);
  return { ...other, ...one, ...(maxAge < Infinity && { maxAge }) };
}

/** Whether a session with these proofs has nothing to prove any more once its user has proved this method, now. */
export function isSatisfiedBy(
  method: string,
  amr: readonly string[],
  lacking: LackingAssurance,
  assurance: Partial<AssuranceSettings>,
): boolean {
  const isAmong = lacking.amr === undefined || lacking.amr.includes(method);
  return isAmong && aalOf(joinedProofs(amr, [method]), assurance) >= (lacking.aal ?? 1);
}
