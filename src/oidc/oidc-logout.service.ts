import { Injectable, Logger } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { isLocalPath } from '../common/local-path.js';
import { AuthConfig } from '../config/auth-config.js';
import { isLoopback, isOAuth2, type OidcProvider } from '../config/oidc-settings.js';
import { sha256Hex } from '../crypto/hash.js';
import { JwtSessionService } from '../jwt-session/jwt-session.service.js';
import { PendingLogins } from '../login/pending-logins.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { RateLimitService } from '../rate-limit/rate-limit.service.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import { SessionService } from '../session/session.service.js';
import { AccountLock } from '../user/account-lock.js';
import { UserDirectory } from '../user/user.directory.js';
import { nameOfProviderSession } from './identity-sessions.js';
import { IdentityStore, type ProviderSessionEntry } from './identity.store.js';
import { keyIdOf, readLogoutToken, type Logout, type SigningKey } from './logout-token.js';
import { OidcClient } from './oidc-client.js';
import { ProviderFault } from './provider-fault.js';
import { isLocal } from './provider-fetch.js';
import { ProviderKeys } from './provider-keys.js';

/**
 * Logouts that a provider and this application share.
 *
 * - The provider tells of a logout there (OpenID Connect Back-Channel Logout 1.0): what the user has begun here by a
 *   provider ends. If the provider names its session (`sid`), what other sessions there have begun goes on; what it is not
 *   known of ends with the user. Those that were begun by a password or passkey alone always go on.
 * - The user logs out here, and then at the provider (OpenID Connect RP-Initiated Logout 1.0).
 *
 * @example
 * ```ts
 * await logouts.end('keycloak', logoutToken); // LOGOUT_TOKEN_REFUSED, or how many sessions have ended
 * const url = await logouts.urlAt('keycloak', '/goodbye', { userId: user.id }); // where the browser goes, after its session here has ended
 * ```
 */
@Injectable()
export class OidcLogoutService {
  private readonly logger = new Logger('Auth');
  private readonly keys: ProviderKeys;

  constructor(
    private readonly client: OidcClient,
    private readonly identities: IdentityStore,
    private readonly users: UserDirectory,
    private readonly pending: PendingLogins,
    private readonly sessions: SessionService,
    private readonly jwts: JwtSessionService,
    private readonly revocation: TokenRevocationService,
    private readonly limits: RateLimitService,
    private readonly transaction: AuthTransaction,
    private readonly accounts: AccountLock,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {
    this.keys = new ProviderKeys(clock);
  }

  /**
   * Ends the sessions of a user that were begun or stepped up at a provider, by the logout token of this one: session JWTs
   * too, with `jwt.registry`. Of any number of calls with one token, in any number of processes, one ends them, and the
   * others are refused. A user who has no identity there has nothing to end. Returns how many have ended.
   *
   * @throws {AuthError} `PROVIDER_NOT_FOUND` if there is no such provider of OpenID Connect.
   * @throws {AuthError} `LOGOUT_TOKEN_REFUSED` if the token is not what a logout token of this provider has to be, is older than ten
   *   minutes, was used, or names neither a user (`sub`) nor a session (`sid`).
   * @throws {AuthError} `PROVIDER_FAILED` if the provider does not tell its keys: nothing has ended.
   * @throws {AuthError} `RATE_LIMITED` after too many tokens from this address (`ip`) that were refused.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer: the same token can be sent again.
   */
  async end(
    provider: string,
    logoutToken: string,
    { ip = null }: { readonly ip?: string | null } = {},
  ): Promise<number> {
    const definition = this.providerOf(provider);
    const counted = await this.limits.consumeOrThrow('oidc_logout_ip', ip);
    const ended = await this.endBy(definition, logoutToken);
    // A provider may end the sessions of thousands.
    await this.limits.refund(counted).catch(() => false);
    return ended;
  }

  private async endBy(definition: OidcProvider, logoutToken: string): Promise<number> {
    const signedBy = keyIdOf(logoutToken);
    const { algorithms = ['RS256'] } = definition;
    // Before anything is fetched for it.
    if (!signedBy || !algorithms.includes(signedBy.alg)) throw refused();
    const issuer = await this.issuerOf(definition);
    const logout = await this.verified(definition, issuer, logoutToken, signedBy);
    if (!logout) throw refused();
    const { subject, session: sid, jti, staleAt } = logout;
    const session = sid === null ? null : nameOfProviderSession(issuer, sid);
    const { clientId } = definition;
    return this.transaction.run(async () => {
      const name = sha256Hex(`oidc-logout\n${issuer}\n${clientId}\n${jti}`);
      if (!(await this.revocation.revoke(name, staleAt))) throw refused();
      let ended = 0;
      const found = await this.identities.sessionsOf({ issuer, subject, session });
      // In one order for all, since each is locked.
      for (const { userId, entries } of found.toSorted((a, b) => (a.userId < b.userId ? -1 : 1))) {
        await this.accounts.hold(userId);
        ended += await this.endOf(userId, otherThan(entries, session));
      }
      return ended;
    });
  }

  /**
   * Where the browser goes to log out at the provider too, which sends it on to `returnTo` of this application if that
   * address is registered there (`post_logout_redirect_uris`). `returnTo` itself, as an address, if the provider has no
   * such page or does not answer: nobody stays logged in here because of that. With the user who logs out (`userId`) the
   * provider is told whom it is about, by the address of their identity there (`logout_hint`): the ID token that would say
   * it (`id_token_hint`) is not kept.
   *
   * @throws {AuthError} `PROVIDER_NOT_FOUND` if there is no such provider of OpenID Connect.
   * @throws {AuthError} `INVALID_INPUT` if `returnTo` is no path of this application.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async urlAt(
    provider: string,
    returnTo = '/',
    { userId = null }: { readonly userId?: string | null } = {},
  ): Promise<string> {
    const definition = this.providerOf(provider);
    if (!isLocalPath(returnTo)) {
      throw new AuthError('INVALID_INPUT', 'returnTo must be a path of this application such as /goodbye.', {
        fields: { returnTo: 'must be a path of this application such as /goodbye' },
      });
    }
    const own = new URL(returnTo, this.config.baseUrl).href;
    const page = await this.endSessionPage(definition);
    if (page === null) return own;
    page.searchParams.set('client_id', definition.clientId);
    page.searchParams.set('post_logout_redirect_uri', own);
    const identities = userId === null ? [] : await this.identities.listByUser(userId);
    const { email = null } = identities.find((identity) => identity.provider === provider) ?? {};
    if (email !== null) page.searchParams.set('logout_hint', email);
    return page.href;
  }

  private async endSessionPage(definition: OidcProvider): Promise<URL | null> {
    try {
      const { end_session_endpoint: page } = await this.client.metadata(definition);
      if (typeof page !== 'string' || !URL.canParse(page)) return null;
      const url = new URL(page);
      const isHere = url.protocol === 'http:' && isLoopback(url.hostname) && isLocal(definition);
      return url.protocol === 'https:' || isHere ? url : null;
    } catch (error) {
      if (!(error instanceof ProviderFault)) throw error;
      this.logger.warn(`The provider '${definition.id}' cannot be asked for its page to log out. ${error.message}`);
      return null;
    }
  }

  private async issuerOf(definition: OidcProvider): Promise<string> {
    return this.answered(definition, async () => (await this.client.metadata(definition)).issuer);
  }

  private async verified(
    definition: OidcProvider,
    issuer: string,
    token: string,
    signedBy: SigningKey,
  ): Promise<Logout | null> {
    const { algorithms = ['RS256'], clientId } = definition;
    const key = await this.answered(definition, async () => {
      const { jwks_uri: uri } = await this.client.metadata(definition);
      return typeof uri === 'string' ? this.keys.find(definition, uri, signedBy) : null;
    });
    return key && readLogoutToken(token, key, { issuer, clientId, algorithms, now: this.clock.now() });
  }

  private async answered<T>({ id }: OidcProvider, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const cause = error instanceof Error ? error : undefined;
      throw new AuthError('PROVIDER_FAILED', `The provider '${id}' failed.`, { provider: id }, { cause });
    }
  }

  private async endOf(userId: string, isEnded: (handle: string) => boolean): Promise<number> {
    let ended = 0;
    const user = await this.users.findById(userId);
    // What has begun there and is not completed yet.
    if (user) await this.pending.endAllOf(user);
    for (const kept of [this.sessions, ...(this.config.jwt.registry ? [this.jwts] : [])]) {
      for (const { handle, amr } of await kept.listForUser(userId)) {
        const isOfProvider = amr.some((method) => method === 'oidc' || method === 'oidc-mfa');
        if (isOfProvider && isEnded(handle) && (await kept.revokeByHandle(userId, handle))) ended++;
      }
    }
    return ended;
  }

  private providerOf(id: string): OidcProvider {
    const found = this.config.flows.oidc!.providers.find((provider) => provider.id === id);
    if (found && !isOAuth2(found)) return found;
    const message = 'There is no provider of OpenID Connect with this id: see flows.oidc.providers.';
    throw new AuthError('PROVIDER_NOT_FOUND', message, {});
  }
}

/** Those that this session of the provider has begun. */
function begunBy(entries: readonly ProviderSessionEntry[], session: string | null): (handle: string) => boolean {
  const own = new Set(entries.filter((entry) => entry.session === session).map(({ handle }) => handle));
  return (handle) => own.has(handle);
}

/**
 * All but those of which it is known that only other sessions of the provider have begun them: one that has got another
 * handle since, as with a new password, is known of none.
 */
function otherThan(entries: readonly ProviderSessionEntry[], session: string | null): (handle: string) => boolean {
  if (session === null) return () => true;
  const isBegun = begunBy(entries, session);
  const known = new Set(entries.map(({ handle }) => handle));
  return (handle) => isBegun(handle) || !known.has(handle);
}

function refused(): AuthError {
  const message = 'The logout token is not valid, or was used: nothing has ended.';
  return new AuthError('LOGOUT_TOKEN_REFUSED', message, {});
}
