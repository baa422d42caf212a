import { AuthError, type PasswordViolation } from '../auth.errors.js';

/** Whose password it is to be. What is not known is left out. */
export interface PasswordContext {
  /** Missing for an account that does not exist yet. */
  readonly userId?: string;
  readonly email?: string;
  /** Whether the account cannot be logged in to with the password alone. Default false. */
  readonly hasSecondFactor?: boolean;
}

/**
 * Which passwords an account may be given: yours, passed as `AuthModule.forRoot({ passwordPolicy: … })`. The default is
 * `DefaultPasswordPolicy`, which a policy of your own may extend.
 *
 * It is asked about new passwords only, never at a login, and only about text of 1,024 characters at most: more is
 * `too_long` whatever the policy. It may be asked several times about the same password.
 *
 * @example
 * ```ts
 * @Injectable()
 * export class NoSpacesPolicy extends DefaultPasswordPolicy {
 *   override async check(password: string, context: PasswordContext) {
 *     const violations = await super.check(password, context);
 *     return password.includes(' ') ? [...violations, { rule: 'space', expected: 'must not contain spaces' }] : violations;
 *   }
 * }
 * ```
 */
export abstract class PasswordPolicy {
  /**
   * What the password violates; none if it is good enough. Rules of your own have names of your own. What is thrown
   * counts as an outage: the password is not accepted, and the answer is 503.
   */
  abstract check(password: string, context: PasswordContext): Promise<readonly PasswordViolation[]>;
}

export function invalidPassword(field: string, expected: string): AuthError {
  return new AuthError('INVALID_INPUT', `${field} ${expected}.`, { fields: { [field]: expected } });
}
