import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import type { CookieValue } from '../login/session-scheme.js';
import { StepUpMethods } from '../login/step-up-methods.js';
import { normalizeLogin } from '../user/login-name.js';
import { UserDirectory } from '../user/user.directory.js';
import { IdentityStore } from './identity.store.js';
import { OidcAccounts } from './oidc-accounts.js';
import { expired, OidcRequests, type OidcAnswer } from './oidc-requests.js';
import type { OidcOwner } from './oidc.service.js';
import { ProviderLabels } from './provider-labels.js';

/** An account at a provider that its owner can link, now that they are logged in here. */
export interface KeptIdentity {
  /** The id of the provider in `flows.oidc.providers`. */
  readonly provider: string;
  /** What the provider is called. */
  readonly label: string;
  /** The address there. */
  readonly email: string;
}

/**
 * Identities of which `OidcService.logIn` has said `ACCOUNT_EXISTS`: kept for ten minutes (`ephemeralTokens.oidc_link`)
 * for the browser that came back with them, until its user has logged in as before. Only the account of that address is
 * offered them, and nothing is linked by the login itself: its user says so, in a fresh session, so that whoever has used
 * the browser before leaves no way in behind (F63).
 *
 * @example
 * ```ts
 * const browser = await kept.keep(answer); // after ACCOUNT_EXISTS: into a cookie
 *
 * const [first] = await kept.listFor(user.id, [browser!.value]); // after the login: ask the user
 * if (first) await kept.link(first.provider, { user, session: current }, [browser!.value]);
 * ```
 */
@Injectable()
export class KeptIdentities {
  private readonly labels: ProviderLabels;
  private readonly ttl: number;

  constructor(
    private readonly requests: OidcRequests,
    private readonly accounts: OidcAccounts,
    private readonly identities: IdentityStore,
    private readonly users: UserDirectory,
    private readonly stepUps: StepUpMethods,
    private readonly tokens: EphemeralTokenService,
    private readonly clock: Clock,
    config: AuthConfig,
  ) {
    this.labels = new ProviderLabels(config.flows.oidc?.providers);
    this.ttl = config.ephemeralTokens.get('oidc_link')!.ttl;
  }

  /**
   * Keeps the identity of this answer for the account that has its address. What it returns belongs into an HttpOnly
   * cookie of the browser; `null` if the provider has not verified the address, or there is no such account.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async keep({ identity }: OidcAnswer): Promise<CookieValue | null> {
    const { provider, issuer, subject, email, emailVerified } = identity;
    const account = emailVerified && email !== null ? await this.users.findByLogin(normalizeLogin(email)) : null;
    if (!account) return null;
    const issuedAt = this.clock.now();
    const fields = { account: account.id, email: email!, identity: { provider, issuer, subject } };
    const value = await this.tokens.issue('oidc_link', fields, { issuedAt });
    return { value, expiresAt: issuedAt + this.ttl };
  }

  /**
   * What is kept in this browser for this account and not linked yet, the newest of each provider. `browsers` are the
   * values of the cookie, the newest first.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async listFor(userId: string, browsers: readonly string[]): Promise<KeptIdentity[]> {
    const found = new Map<string, KeptIdentity>();
    for (const token of browsers) {
      const kept = await this.find(token, userId);
      if (!kept) continue;
      const { provider, issuer, subject } = kept.identity;
      if (found.has(provider) || !this.labels.has(provider)) continue;
      if (await this.identities.find(issuer, subject)) continue;
      found.set(provider, { provider, label: this.labels.of(provider), email: kept.email });
    }
    return [...found.values()];
  }

  /**
   * Links what is kept of this provider with the account of the session, once. Emits `identity.linked`, and tells the
   * owner. What it returns stays in the cookie: the values of other providers and accounts (`left`), all of which are
   * over at `expiresAt` (epoch ms).
   *
   * @throws {AuthError} `PROVIDER_NOT_FOUND` if there is no such provider.
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session is not fresh, or has proved less than the account can.
   * @throws {AuthError} `LOGIN_EXPIRED` if nothing is kept for this account in this browser, or not any more.
   * @throws {AuthError} `UNAUTHENTICATED` if the session has ended meanwhile.
   * @throws {AuthError} `IDENTITY_IN_USE` if it is another account's by now, or the account has another one of this
   *   provider.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing is linked.
   */
  async link(
    id: string,
    { user, session, ip = null }: OidcOwner,
    browsers: readonly string[],
  ): Promise<{ readonly left: readonly string[]; readonly expiresAt: number }> {
    const provider = this.requests.providerOf(id);
    await this.stepUps.demandMost(session);
    const found = await Promise.all(browsers.map(async (token) => ({ token, kept: await this.find(token, user.id) })));
    const isOfProvider = ({ kept }: (typeof found)[number]) => kept?.identity.provider === id;
    const newest = found.find(isOfProvider);
    if (!newest?.kept) throw expired();
    const { token, kept } = newest;
    const identity = { ...kept.identity, email: kept.email, emailVerified: true };
    const spend = async () => (await this.tokens.consume('oidc_link', token)) !== null;
    await this.accounts.link({ identity, provider }, { user, session, ip }, spend);
    const left = found.filter((one) => !isOfProvider(one)).map((one) => one.token);
    return { left, expiresAt: this.clock.now() + this.ttl };
  }

  private async find(token: string, userId: string) {
    const kept = await this.tokens.peek('oidc_link', token);
    return kept?.account === userId ? kept : null;
  }
}
