import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { AuthEvents } from '../events/auth-events.js';
import { normalizeLogin } from '../user/login-name.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import type { CookieValue } from './session-scheme.js';

/** A browser in which an account is not asked for its second factor. */
export interface TrustedBrowser {
  /** The value of its cookie. */
  readonly value: string;
  /** Epoch ms: when the second factor was proved in it. */
  readonly trustedAt: number;
}

/** A value for the cookie of trusted browsers. */
export interface TrustedBrowserValue extends CookieValue {
  /** The values that are void now. */
  readonly replaces: readonly string[];
}

/** How many accounts can trust one browser: it may be that of a family. */
export const MAX_ACCOUNTS = 5;

/**
 * Browsers in which the second step of an account's logins is left out for `flows.twoFactor.trustedBrowsers` after it was
 * proved there. That is all that the value of such a browser does: it opens nothing without a right first factor of the
 * same account, it counts for no step-up, and the session is worth what was proved for it (`aal`).
 *
 * A value is a `trusted_browser` token. Each login takes another one in its place and does not make it last longer. All of
 * an account end with a new password, a factor that comes or goes, "sign out everywhere" and a disabling.
 */
@Injectable()
export class TrustedBrowsers {
  /** In milliseconds; `null` if no browser is trusted. */
  readonly lifetime: number | null;

  constructor(
    private readonly tokens: EphemeralTokenService,
    private readonly users: UserDirectory,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    { flows }: AuthConfig,
  ) {
    this.lifetime = flows.twoFactor?.trustedBrowsers ?? null;
  }

  /**
   * The first of these values that trusts this account; it stays usable. `null` if none does: malformed, unknown,
   * expired, ended or another account's.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async find(user: AuthUser, values: readonly string[]): Promise<TrustedBrowser | null> {
    if (this.lifetime === null) return null;
    for (const value of values.slice(0, MAX_ACCOUNTS)) {
      const fields = await this.tokens.peek('trusted_browser', value);
      if (fields?.account === user.id && this.remaining(fields.trustedAt) > 0) {
        return { value, trustedAt: fields.trustedAt };
      }
    }
    return null;
  }

  /**
   * Another value for this browser, which ends when the one before would have. `null` if that was replaced or ended
   * meanwhile: of parallel logins one gets it. After a fault the browser is trusted still, by the value before or, where
   * it is not known what has become of that, by the new one.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer: the value before can be used.
   */
  async rotate(user: AuthUser, { value, trustedAt }: TrustedBrowser): Promise<TrustedBrowserValue | null> {
    const next = await this.issue(user, trustedAt, [value]);
    const isFirst = await this.tokens.consume('trusted_browser', value).then(
      (spent) => spent !== null,
      () => true,
    );
    if (isFirst || next === null) return next;
    await this.tokens.revoke('trusted_browser', next.value);
    return null;
  }

  /**
   * Trusts a browser in which the second factor has just been proved. Its earlier values for this account are void.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async trust(user: AuthUser, values: readonly string[], ip: string | null): Promise<TrustedBrowserValue | null> {
    const earlier = await this.find(user, values);
    if (earlier) await this.tokens.revoke('trusted_browser', earlier.value);
    const trusted = await this.issue(user, this.clock.now(), earlier ? [earlier.value] : []);
    if (trusted)
      this.events.emitAfterTransaction({ type: 'browser.trusted', at: this.clock.now(), userId: user.id, ip });
    return trusted;
  }

  /**
   * No browser is trusted by this account any more. Returns how many there were.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async forget(userId: string): Promise<number> {
    if (this.lifetime === null) return 0;
    const user = await this.users.findById(userId);
    const count = user ? await this.tokens.revokeOfType('trusted_browser', user.email) : 0;
    const event = { type: 'browser.untrusted', at: this.clock.now(), userId, count } as const;
    if (count > 0) this.events.emitAfterTransaction(event);
    return count;
  }

  /**
   * How many browsers this account trusts.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async count(user: AuthUser): Promise<number> {
    return this.lifetime === null ? 0 : this.tokens.countOfType('trusted_browser', user);
  }

  private async issue(
    user: AuthUser,
    trustedAt: number,
    replaces: readonly string[],
  ): Promise<TrustedBrowserValue | null> {
    const ttl = this.remaining(trustedAt);
    if (!(ttl > 0)) return null;
    const fields = { username: normalizeLogin(user.email), account: user.id, trustedAt };
    const value = await this.tokens.issue('trusted_browser', fields, { ttl });
    return { value, expiresAt: this.clock.now() + ttl, replaces };
  }

  private remaining(trustedAt: number): number {
    return trustedAt + (this.lifetime ?? 0) - this.clock.now();
  }
}
