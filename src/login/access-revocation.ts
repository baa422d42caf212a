import { Injectable } from '@nestjs/common';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import { normalizeLogin } from '../user/login-name.js';
import { UserDirectory } from '../user/user.directory.js';
import { PendingLogins } from './pending-logins.js';
import { TrustedBrowsers } from './trusted-browsers.js';

/** The links by which somebody who has read a mail gets into the account, or moves it. */
const MAILED_LINKS = ['password_reset', 'magic_link', 'email_change'] as const;

/**
 * Credentials of an account other than its stored sessions: JWTs, signed cookies, API keys and mailed links, which end by
 * the cutoff, logins that are under way, and browsers in which the second step is left out. Whoever ends the sessions of an account
 * ends these too.
 */
@Injectable()
export class AccessRevocation {
  constructor(
    private readonly revocation: TokenRevocationService,
    private readonly users: UserDirectory,
    private readonly pending: PendingLogins,
    private readonly trusted: TrustedBrowsers,
    private readonly tokens: EphemeralTokenService,
  ) {}

  /**
   * Ends all of it. `isTold`: the caller has emitted the event, which otherwise is done here.
   *
   * @throws {AuthError} `UNSUPPORTED` with signed cookies or JWT sessions, if your `UserDirectory` does not override
   *   `invalidateTokens`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async endOf(userId: string, { isTold }: { readonly isTold: boolean }): Promise<void> {
    const isCutOff = await this.revocation.endStateless(userId, { isTold });
    // A directory without cutoffs ends none of these.
    const user = await this.users.findById(userId);
    if (user) await this.pending.endAllOf(user);
    if (user && !isCutOff) {
      for (const type of MAILED_LINKS) await this.tokens.revokeOfType(type, normalizeLogin(user.email));
    }
    await this.trusted.forget(userId);
  }
}
