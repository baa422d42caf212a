import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { isActive } from '../user/account.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import type { LoginAttempt } from './login.service.js';

/** Verifies a login name and password against the `UserDirectory`. */
@Injectable()
export class PasswordLogin {
  constructor(private readonly users: UserDirectory) {}

  /**
   * An attempt for `LoginService.attempt` or `HttpSessions.start`; `login` is in the spelling of `normalizeLogin`. It
   * fails with `INVALID_CREDENTIALS` for an unknown account, a wrong password and a disabled account alike, and with
   * `SETUP_INCOMPLETE` while no account exists.
   */
  attempt(login: string, password: string): LoginAttempt {
    return { login, proofs: ['password'], verify: (ip) => this.verify(login, password, ip) };
  }

  private async verify(login: string, password: string, ip: string | null): Promise<AuthUser> {
    try {
      const user = await this.users.verifyCredentials(login, password, ip);
      if (isActive(user)) return user;
      if (!(await this.users.hasAccounts())) {
        const remedy =
          'Nobody can log in before the first account is created: call PostgresUserDirectory.create(email, password), ' +
          'or make one in the directory that you pass as users.';
        throw new AuthError('SETUP_INCOMPLETE', remedy, {});
      }
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
    throw new AuthError('INVALID_CREDENTIALS', 'Unknown account, wrong password or disabled account.', {});
  }
}
