import type { AssuranceSettings } from '../config/assurance-settings.js';
import { aalOf, provedAnew } from './assurance.js';

/** What a login still lacks: nothing, or one of these methods. */
export type DueFactors = 'nothing' | readonly string[];

/**
 * What is due after these proofs, for a user who has these second factors: one of those that have not been proved, unless
 * the proofs are worth two factors already, as a passkey with user verification is.
 *
 * @example
 * ```ts
 * dueFactors(['password'], ['totp']); // ['totp']
 * dueFactors(['password', 'totp'], ['totp']); // 'nothing'
 * dueFactors(['passkey'], ['totp']); // 'nothing'
 * ```
 */
export function dueFactors(
  proofs: readonly string[],
  enrolled: readonly string[],
  assurance: Partial<AssuranceSettings> = {},
): DueFactors {
  if (aalOf(proofs, assurance) === 2) return 'nothing';
  const isProved = (method: string) => proofs.includes(method) || proofs.includes(`${method}-presence`);
  const hasProvedTwo = provedAnew(proofs).length > 1 && enrolled.some(isProved);
  const methods = enrolled.filter((method) => !isProved(method));
  return hasProvedTwo || methods.length === 0 ? 'nothing' : methods;
}
