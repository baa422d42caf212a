import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError, type PasswordViolation } from '../auth.errors.js';
import { PASSWORD_LENGTH, passwordLength } from './password-hasher.js';
import { invalidPassword, PasswordPolicy, type PasswordContext } from './password-policy.js';

/** Not a character: a hash cannot tell one from another. */
const LONE_SURROGATE = /\p{Cs}/u;

const TOO_LONG: PasswordViolation = {
  rule: 'too_long',
  expected: `must have at most ${PASSWORD_LENGTH.max} characters`,
};

/**
 * The gate of every new password: call it before you hash one for an account.
 *
 * @example
 * ```ts
 * await newPasswords.accept(password, { email }); // throws WEAK_PASSWORD
 * await accounts.register({ email, passwordHash: await hasher.hash(password), emailVerifiedAt: null });
 * ```
 */
@Injectable()
export class NewPasswords {
  constructor(private readonly policy: PasswordPolicy) {}

  /**
   * Returns if the account may have this password. `field` is the name that errors give it.
   *
   * @throws {AuthError} `WEAK_PASSWORD` if the policy finds something, or it has more than 1,024 characters.
   *   `facts.rules` says which rules, `facts.fields` what is expected.
   * @throws {AuthError} `INVALID_INPUT` if it is not a string of Unicode characters.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the policy could not tell.
   */
  async accept(password: string, context: PasswordContext = {}, field = 'password'): Promise<void> {
    if (typeof password !== 'string') throw invalidPassword(field, 'must be a string');
    const violations =
      passwordLength(password) > PASSWORD_LENGTH.max ? [TOO_LONG] : await this.check(password, context);
    if (violations.length > 0) throw weakPassword(field, violations);
    if (LONE_SURROGATE.test(password)) throw invalidPassword(field, 'must be well-formed Unicode');
  }

  private async check(password: string, context: PasswordContext): Promise<readonly PasswordViolation[]> {
    try {
      return await this.policy.check(password, context);
    } catch (error) {
      throw asAuthError(error, 'The password policy');
    }
  }
}

function weakPassword(field: string, violations: readonly PasswordViolation[]): AuthError {
  const expected = violations.map((violation) => violation.expected).join(', and ');
  const rules = violations.map(({ rule }) => rule);
  return new AuthError('WEAK_PASSWORD', `${field} ${expected}.`, { fields: { [field]: expected }, rules });
}
