import { Injectable } from '@nestjs/common';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import { UserDirectory } from '../user/user.directory.js';
import { PendingLogins } from './pending-logins.js';
import { TrustedBrowsers } from './trusted-browsers.js';

/**
 * Credentials of an account other than its stored sessions: JWTs, signed cookies and API keys, which end by the cutoff,
 * logins that are under way, and browsers in which the second step is left out. Whoever ends the sessions of an account
 * ends these too.
 */
@Injectable()
export class AccessRevocation {
  constructor(
    private readonly revocation: TokenRevocationService,
    private readonly users: UserDirectory,
    private readonly pending: PendingLogins,
    private readonly trusted: TrustedBrowsers,
  ) {}

  /**
   * Ends all of it. `isTold`: the caller has emitted the event, which otherwise is done here.
   *
   * @throws {AuthError} `UNSUPPORTED` with signed cookies or JWT sessions, if your `UserDirectory` does not override
   *   `invalidateTokens`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async endOf(userId: string, { isTold }: { readonly isTold: boolean }): Promise<void> {
    await this.revocation.endStateless(userId, { isTold });
    // A directory without cutoffs ends neither.
    const user = await this.users.findById(userId);
    if (user) await this.pending.endAllOf(user);
    await this.trusted.forget(userId);
  }
}
