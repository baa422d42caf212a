import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { randomToken } from '../crypto/random.js';
import { isActive } from '../user/account.js';
import { checkedUserId } from '../user/checked-user-id.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import type { LoginAttempt } from './login.service.js';
import { PasswordAttempts } from './password-attempts.js';

/** Where a password comes from. */
export interface PasswordSource {
  /** The client's address, if known. */
  readonly ip?: string | null;
  /** Whether the client is a device that has logged in to this account before: see `LoginLimits.enforce`. */
  readonly isKnownDevice?: boolean;
}

/**
 * Verifies a login name and password against the `UserDirectory`. After `password.maxFailures` failures in a row
 * (default 100) the password is disabled until there is a new one; other ways to log in are not.
 */
@Injectable()
export class PasswordLogin {
  constructor(
    private readonly users: UserDirectory,
    private readonly attempts: PasswordAttempts,
  ) {}

  /**
   * An attempt for `LoginService.attempt` or `HttpSessions.start`; `login` is in the spelling of `normalizeLogin`. It
   * fails as `verify` does.
   */
  attempt(login: string, password: string): LoginAttempt {
    const verify = (ip: string | null, isKnownDevice = false) => this.verify(login, password, { ip, isKnownDevice });
    return { login, proofs: ['password'], verify };
  }

  /**
   * The active account with this login name and password, for logins that do more with it, such as one of two steps.
   * Call it within `LoginLimits.enforce`.
   *
   * @throws {AuthError} `INVALID_CREDENTIALS` for an unknown account, a wrong password, a disabled password and a
   *   disabled account alike, after the same work.
   * @throws {AuthError} `SETUP_INCOMPLETE` while no account exists.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing is counted.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer; nobody is logged in.
   */
  async verify(
    login: string,
    password: string,
    { ip = null, isKnownDevice = false }: PasswordSource = {},
  ): Promise<AuthUser> {
    try {
      const account = await this.users.findByLogin(login);
      const user = await this.attempts.judge(account, { login, ip, isKnownDevice }, async (isDisabled) => {
        const compared = isDisabled ? randomToken().toString('base64url') : password;
        const found = await this.users.verifyCredentials(login, compared, ip);
        return isActive(found) ? found : null;
      });
      if (user !== null) return user;
      if (!(await this.users.hasAccounts())) {
        const remedy =
          'Nobody can log in before the first account is created: run `npx nestjs-latchkey users create --email <address>`, ' +
          'call PostgresUserDirectory.create(email, password), or make one in the directory that you pass as users.';
        throw new AuthError('SETUP_INCOMPLETE', remedy, {});
      }
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
    throw new AuthError('INVALID_CREDENTIALS', 'Unknown account, wrong password or disabled account.', {});
  }

  /**
   * Makes a disabled password usable again, and forgets the account's failures and known places. A new password does
   * that by itself where `PostgresUserDirectory` holds it; call this after a reset in a directory of your own. False if
   * there was nothing to forget.
   *
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string, or empty.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  async enable(userId: AuthUser['id']): Promise<boolean> {
    return this.attempts.forget(checkedUserId(userId));
  }
}
