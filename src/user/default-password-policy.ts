import { Injectable } from '@nestjs/common';
import type { PasswordViolation } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { BreachedPasswords } from './breached-passwords.js';
import { isCommonPassword } from './common-passwords.js';
import { canonicalPassword, PASSWORD_LENGTH, passwordLength } from './password-hasher.js';
import { PasswordPolicy, type PasswordContext } from './password-policy.js';

/** Always one that others can guess, as the name of what people log in with. */
const OWN_NAME = 'latchkey';
/** Shorter ones are part of too many words. */
const MIN_WORD = 3;
const SEPARATORS = /[^\p{L}\p{M}\p{N}]+/u;
const DECORATION = /[\s\p{P}]+/gu;

const COMMON: PasswordViolation = { rule: 'common', expected: 'must not be a common password' };
const CONTEXT: PasswordViolation = {
  rule: 'contains_context',
  expected: 'must not be made of your address or the name of this application',
};
const BREACHED: PasswordViolation = { rule: 'breached', expected: 'must not be one that has leaked elsewhere' };

/**
 * The rules of NIST SP 800-63B-4 3.1.1.2 and OWASP ASVS 6.2.1 to 6.2.12. A password
 *
 * - has at least `password.minLength` characters (code points), or 8 with a second factor: `too_short`;
 * - as a whole is none of the 3,000 most common ones of 8 to 14 characters, or of the 3,000 most common longer ones, in
 *   any case and compatibility form (NFKC): `common`;
 * - is not made of words that others can guess, which are the account's address, the names in `baseUrl` and `mail.site`,
 *   `password.contextWords` and "latchkey": without them, at least 8 letters or digits are left, and no common
 *   password: `contains_context`;
 * - has not leaked, if there is `password.breachCheck`: `breached`.
 *
 * Any character may be used and none is required. Except for `password.breachCheck`, it takes less than a millisecond.
 */
@Injectable()
export class DefaultPasswordPolicy extends PasswordPolicy {
  private readonly minLength: number;
  private readonly words: readonly string[];

  constructor(
    { password, mail, baseUrl }: AuthConfig,
    private readonly breached: BreachedPasswords,
  ) {
    super();
    this.minLength = password.minLength;
    const host = baseUrl === undefined ? '' : new URL(baseUrl).hostname;
    this.words = [OWN_NAME, ...password.contextWords, mail?.site ?? '', host].flatMap(wordsOf);
  }

  override async check(password: string, context: PasswordContext): Promise<readonly PasswordViolation[]> {
    const found = [...this.violations(password, context)];
    if (found.length > 0 || !(await this.breached.has(password))) return found;
    return [BREACHED];
  }

  private *violations(password: string, { email, hasSecondFactor }: PasswordContext): Iterable<PasswordViolation> {
    const min = hasSecondFactor ? PASSWORD_LENGTH.min : this.minLength;
    if (passwordLength(password) < min) yield { rule: 'too_short', expected: `must have at least ${min} characters` };
    const folded = foldedPassword(password);
    if (isCommonPassword(folded)) yield COMMON;
    else if (isMadeOf([...this.words, ...wordsOf(email ?? '')], folded)) yield CONTEXT;
  }
}

/** The spelling in which passwords are compared with lists. */
function foldedPassword(password: string): string {
  return canonicalPassword(password, 'NFKC').toLowerCase();
}

/** The name itself, an address without its domain, and the words in it. */
function wordsOf(name: string): string[] {
  const folded = foldedPassword(name);
  return [folded, folded.slice(0, folded.lastIndexOf('@') + 1).slice(0, -1), ...folded.split(SEPARATORS)].filter(
    (word) => word.length >= MIN_WORD,
  );
}

function isMadeOf(words: readonly string[], folded: string): boolean {
  let left = folded;
  for (const word of words.toSorted((a, b) => b.length - a.length)) left = left.replaceAll(word, ' ');
  if (left === folded) return false;
  left = left.replace(DECORATION, '');
  return passwordLength(left) < PASSWORD_LENGTH.min || isCommonPassword(left);
}
