import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { isLocalPath } from '../common/local-path.js';
import { AuthConfig } from '../config/auth-config.js';
import { hasStepUp } from '../config/oidc-settings.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { AuthEvents } from '../events/auth-events.js';
import { LoginService, type CompletedLogin, type LoginContext } from '../login/login.service.js';
import type { PendingLogin } from '../login/pending-logins.js';
import type { ElevatedSession } from '../login/session-scheme.js';
import { ProviderSessions } from '../login/provider-sessions.js';
import { StepUpMethods } from '../login/step-up-methods.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import type { Session } from '../session/session.js';
import { normalizeLogin } from '../user/login-name.js';
import type { AuthUser } from '../user/user.directory.js';
import { providerSessionOf } from './identity-sessions.js';
import { IdentityStore } from './identity.store.js';
import { OidcAccounts, proofsOf } from './oidc-accounts.js';
import {
  BY_BROWSER,
  challengeOfVerifier,
  exchangeOfBrowser,
  expired,
  OidcRequests,
  type OidcAnswer,
  type StartedOidc,
} from './oidc-requests.js';

/** What a login at a provider is asked for. */
export interface OidcStart {
  /** The address of the callback of this provider, as it is registered there. */
  readonly redirectUri: string;
  /** The path where the browser goes in the end; with `exchange` also an address of one of `trustedOrigins`. */
  readonly returnTo?: string | undefined;
  /** "Remember me". */
  readonly remember?: boolean | undefined;
  /**
   * For a page that opens the session itself, by `exchange`: `browser`, or the S256 challenge of a verifier (RFC 7636,
   * section 4.2) that the page keeps.
   */
  readonly exchange?: string | undefined;
}

/** The session for which somebody goes to a provider. */
export interface OidcOwner {
  readonly user: AuthUser;
  /** The live session of the request. */
  readonly session: Session;
  /** The client's address, if known. */
  readonly ip?: string | null;
}

/** A session whose user has proved again at a provider who they are. */
export interface OidcSteppedUp extends ElevatedSession {
  readonly user: AuthUser;
}

/** base64url of a SHA-256. */
const CHALLENGE = /^[\w-]{43}$/;
/** How far the provider's clock may be behind, in milliseconds. */
const TOLERANCE = 10_000;

/**
 * Logins at identity providers. The identity is what the provider calls the user, issuer and subject together, and never
 * an address; `decideLinking` is the table of what follows. A login there is one factor unless `assurance` of the
 * provider says otherwise, so that a second factor of the account is due as after a password.
 *
 * A login takes three calls: `begin…` returns the URL and the cookie that binds the browser to the request, `finish`
 * verifies the callback, once, and `logIn`, `link` or `stepUp` completes what was begun.
 *
 * @example
 * ```ts
 * const { url, browser } = await oidc.begin('google', { redirectUri }); // browser: into a cookie
 *
 * const answer = await oidc.finish('google', query, { browsers: [browser.value] }); // at the callback
 * const login = await oidc.logIn(answer, { ip, transport: 'bearer' });
 * ```
 */
@Injectable()
export class OidcService {
  constructor(
    private readonly requests: OidcRequests,
    private readonly accounts: OidcAccounts,
    private readonly identities: IdentityStore,
    private readonly logins: LoginService,
    private readonly stepUps: StepUpMethods,
    private readonly providerSessions: ProviderSessions,
    private readonly tokens: EphemeralTokenService,
    private readonly transaction: AuthTransaction,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    private readonly config: AuthConfig,
  ) {}

  /**
   * Begins a login. Nothing is stored for a provider that does not answer.
   *
   * @throws {AuthError} `PROVIDER_NOT_FOUND` if there is no such provider.
   * @throws {AuthError} `INVALID_INPUT` if `returnTo` leads elsewhere, or `exchange` is no challenge.
   * @throws {AuthError} `PROVIDER_FAILED` if the provider did not answer, or not as it should.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async begin(provider: string, start: OidcStart): Promise<StartedOidc> {
    return this.requests.begin({ provider, intent: 'login', ...this.checked(start) });
  }

  /**
   * Begins to link an identity with the account of this session, which must be fresh and have proved as much as the
   * account can.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session lacks that.
   * @throws {AuthError} as `begin`.
   */
  async beginLink(
    provider: string,
    { user, session }: OidcOwner,
    { exchange: _none, ...start }: OidcStart,
  ): Promise<StartedOidc> {
    await this.stepUps.demandMost(session);
    const { handle } = session;
    return this.requests.begin({ provider, intent: 'link', userId: user.id, handle, ...this.checked(start) });
  }

  /**
   * Begins a step-up of this session: its user has to prove at the provider again who they are.
   *
   * @throws {AuthError} `IDENTITY_NOT_FOUND` if the user has no identity there.
   * @throws {AuthError} `INVALID_INPUT` if the provider asks nobody again: plain OAuth 2, or `stepUp: false`.
   * @throws {AuthError} as `begin`.
   */
  async beginStepUp(
    provider: string,
    { user, session }: OidcOwner,
    { exchange: _none, ...start }: OidcStart,
  ): Promise<StartedOidc> {
    const definition = this.requests.providerOf(provider);
    if (!hasStepUp(definition)) {
      throw new AuthError('INVALID_INPUT', `No step-up at the provider '${provider}': it ${NEVER_AGAIN}.`, {
        fields: { provider: NEVER_AGAIN },
      });
    }
    const own = await this.identities.listByUser(user.id);
    if (!own.some((identity) => identity.provider === provider)) throw notFound();
    const { handle } = session;
    return this.requests.begin({ provider, intent: 'step_up', userId: user.id, handle, ...this.checked(start) });
  }

  /**
   * Verifies what the browser comes back with. Of any number of calls, in any number of processes, one gets the answer:
   * the state is spent, also if something else is wrong. `browsers` are the values of the cookie.
   *
   * @throws {AuthError} `PROVIDER_NOT_FOUND` if there is no such provider.
   * @throws {AuthError} `LOGIN_EXPIRED` if the state is unknown, spent, expired, another provider's or another browser's.
   * @throws {AuthError} `PROVIDER_REFUSED` if the provider has not logged the user in.
   * @throws {AuthError} `PROVIDER_FAILED` if it did not answer, or anything in its answer is not valid.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; the same answer can be sent again.
   */
  async finish(
    provider: string,
    parameters: URLSearchParams,
    { browsers = [], ip = null }: { browsers?: readonly string[]; ip?: string | null } = {},
  ): Promise<OidcAnswer> {
    try {
      return await this.requests.finish(provider, parameters, browsers);
    } catch (error) {
      throw this.failed(error, ip);
    }
  }

  /**
   * Opens the session of the identity's account, or holds the login if a second factor is due. The account may be a new
   * one, see `signUp` of the provider. Emits `login.succeeded` or `login.failed`, and with a new account `account.registered`,
   * `email.verified` and `identity.linked`.
   *
   * @throws {AuthError} `LOGIN_EXPIRED` if the answer was begun for something else.
   * @throws {AuthError} `ACCOUNT_EXISTS`, `NO_ACCOUNT` or `EMAIL_NOT_VERIFIED`: see `linking.ts`.
   * @throws {AuthError} `INVALID_CREDENTIALS` if the account is disabled, or was changed meanwhile.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer. Nobody is logged in.
   */
  async logIn(answer: OidcAnswer, context: LoginContext = {}): Promise<CompletedLogin | PendingLogin> {
    const { request } = answer;
    return this.judged(context.ip ?? null, async () => {
      if (request.intent !== 'login' || request.exchange !== undefined) throw expired();
      const begun = { ...context, remember: request.remember, providerSession: providerSessionOf(answer.identity) };
      return this.accounts.enter(answer, context.ip ?? null, (user, firstFactor, proofs) =>
        this.logins.begin(user, proofs, { ...begun, ...firstFactor }),
      );
    });
  }

  /**
   * In place of `logIn`, for a login that was begun with `exchange`: a token of two minutes for the page, which belongs
   * into the fragment of its address. It opens nothing but the login, by `exchange`.
   *
   * @throws {AuthError} as `logIn`.
   */
  async handOver(answer: OidcAnswer, { ip = null }: { ip?: string | null } = {}): Promise<string> {
    const { request } = answer;
    return this.judged(ip, async () => {
      const challengeId = request.intent === 'login' ? request.exchange : undefined;
      if (challengeId === undefined) throw expired();
      const { remember } = request;
      const providerSession = providerSessionOf(answer.identity);
      return this.accounts.enter(answer, ip, async (user, firstFactor, proofs) => {
        if (providerSession) await this.providerSessions.recordHeld(providerSession, user.id);
        return this.tokens.issue('oidc_exchange', {
          username: normalizeLogin(user.email),
          challengeId,
          firstFactor,
          proved: {
            userId: user.id,
            proofs,
            transport: 'cookie',
            ...(remember && { remember }),
            ...(providerSession && { providerSession }),
          },
        });
      });
    });
  }

  /**
   * Completes a login that was handed over, once: with the verifier, or in the browser that began it. What is refused is
   * not spent.
   *
   * @throws {AuthError} `LOGIN_EXPIRED` if the token is unknown, spent, expired, or comes with another verifier or
   *   browser.
   * @throws {AuthError} `INVALID_CREDENTIALS` if the account is disabled, or was changed meanwhile.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer. Nobody is logged in.
   */
  async exchange(
    token: string,
    { verifier, browsers = [] }: { verifier?: string | undefined; browsers?: readonly string[] },
    context: LoginContext = {},
  ): Promise<CompletedLogin | PendingLogin> {
    return this.judged(context.ip ?? null, async () => {
      const bindings = verifier === undefined ? browsers.map(exchangeOfBrowser) : [challengeOfVerifier(verifier)];
      for (const binding of bindings) {
        const held = await this.tokens.peek('oidc_exchange', token, binding);
        if (!held?.proved || !held.firstFactor) continue;
        // With sessions elsewhere too: the token is given back if the login cannot be written.
        return this.transaction.run(async () => {
          const user = await this.accounts.lockedAccountOf(held.proved!.userId);
          const spent = await this.tokens.consume('oidc_exchange', token, binding);
          if (!spent?.proved || !spent.firstFactor) throw expired();
          const { proved, firstFactor } = spent;
          const { remember, providerSession } = proved;
          return this.logins.begin(user, proved.proofs, { ...context, remember, providerSession, ...firstFactor });
        });
      }
      throw expired();
    });
  }

  /**
   * Links the identity with the account of the session that has asked for it, and of no other. Emits `identity.linked`,
   * and tells the owner.
   *
   * @throws {AuthError} `LOGIN_EXPIRED` if the answer was begun for something else, or in another session.
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session is not fresh any more.
   * @throws {AuthError} `UNAUTHENTICATED` if it has ended meanwhile, with everything else of the account or alone.
   * @throws {AuthError} `IDENTITY_IN_USE` if it is another account's, or the account has another one of this provider.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing is linked.
   */
  async link(answer: OidcAnswer, owner: OidcOwner | null): Promise<void> {
    const { user, session, ip = null } = ownerOf(answer, 'link', owner);
    await this.stepUps.demandMost(session);
    await this.accounts.link(answer, { user, session, ip });
  }

  /**
   * The session of the user who has just proved at the provider again who they are, with another token. The proof must be
   * younger than the request for it (OpenID Connect Core 1.0, section 3.1.2.1, `max_age`).
   *
   * @throws {AuthError} `LOGIN_EXPIRED` if the answer was begun for something else, or in another session.
   * @throws {AuthError} `INVALID_CREDENTIALS` if the identity is not the user's, or was not proved anew.
   * @throws {AuthError} `UNAUTHENTICATED` if the session has ended, or has got another token meanwhile.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async stepUp(
    answer: OidcAnswer,
    owner: OidcOwner | null,
    context: Pick<LoginContext, 'ip' | 'userAgent' | 'transport'> = {},
  ): Promise<OidcSteppedUp> {
    const { session } = ownerOf(answer, 'step_up', owner);
    const { ip = null } = context;
    const { userId, handle } = session;
    const factors = proofsOf(answer);
    const told = { userId, handle, ip, factors };
    try {
      const { identity, request } = answer;
      const user = await this.accounts.accountOf(userId);
      const found = await this.identities.find(identity.issuer, identity.subject);
      if (found?.userId !== user.id) throw refused('The identity is not that of the user of this session.');
      const { authTime } = identity;
      if (authTime === undefined || authTime < request.startedAt - TOLERANCE) {
        throw refused('The provider has not asked its user again, or does not say when (auth_time).');
      }
      const authenticatedAt = Math.min(this.clock.now(), Math.max(authTime, request.startedAt));
      const providerSession = providerSessionOf(identity);
      const elevated = await this.transaction.run(async () => {
        const made = await this.logins.elevate(user, session, factors, { ...context, authenticatedAt });
        if (made && providerSession) await this.providerSessions.record(providerSession, made.session);
        return made;
      });
      if (!elevated) throw new AuthError('UNAUTHENTICATED', 'The session has ended, or has got another token.', {});
      const { aal } = elevated.session;
      this.events.emitAfterTransaction({ type: 'step_up.succeeded', at: this.clock.now(), ...told, aal });
      return { user, ...elevated };
    } catch (error) {
      const fault = asAuthError(error, 'A step-up at a provider');
      this.events.emit({ type: 'step_up.refused', at: this.clock.now(), ...told, reason: fault.code });
      throw fault;
    }
  }

  /** What a request may ask for. A path is looked at again when it is used. */
  private checked({ redirectUri, returnTo, remember, exchange }: OidcStart) {
    const isBound = exchange === undefined || exchange === BY_BROWSER || CHALLENGE.test(exchange);
    const fields = {
      ...(returnTo !== undefined && !this.isReturn(returnTo, exchange !== undefined) && { returnTo: RETURN }),
      ...(!isBound && { exchange: 'must be "browser" or the base64url of a SHA-256' }),
    };
    if (Object.keys(fields).length > 0) {
      throw new AuthError('INVALID_INPUT', `Not a login at a provider: ${Object.keys(fields).join(', ')}.`, { fields });
    }
    return { redirectUri, returnTo, remember, exchange };
  }

  /** @internal Whether a browser may be sent there. */
  isReturn(value: string, isExchanged: boolean): boolean {
    // The fragment is ours: a page reads in it what has come of the login.
    if (value.includes('#')) return false;
    if (isLocalPath(value)) return true;
    if (!isExchanged || !URL.canParse(value)) return false;
    const { origin, href } = new URL(value);
    return href === value && this.config.trustedOrigins.includes(origin);
  }

  private async judged<T>(ip: string | null, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.failed(error, ip);
    }
  }

  private failed(error: unknown, ip: string | null): AuthError {
    const fault = asAuthError(error, 'A login at a provider');
    const reason = fault.code === 'RATE_LIMITED' ? 'UNKNOWN' : fault.code;
    this.events.emit({ type: 'login.failed', at: this.clock.now(), reason, login: null, ip, factors: ['oidc'] });
    return fault;
  }
}

const NEVER_AGAIN = 'asks nobody to prove again who they are: choose a method of GET step-up';
const RETURN = 'must be a path of this application such as /notes, without a fragment';

/** Only the session that asked may complete it: an attacker could send a victim the callback of their own login (F63). */
function ownerOf({ request }: OidcAnswer, intent: 'link' | 'step_up', owner: OidcOwner | null): OidcOwner {
  const isTheirs =
    owner !== null &&
    request.intent === intent &&
    request.userId === owner.user.id &&
    request.handle === owner.session.handle;
  if (!isTheirs) throw expired();
  return owner;
}

const refused = (message: string) => new AuthError('INVALID_CREDENTIALS', message, {});
const notFound = () => new AuthError('IDENTITY_NOT_FOUND', 'The user has no such identity.', {});
