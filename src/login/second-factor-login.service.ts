import { Injectable } from '@nestjs/common';
import { asAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { later } from '../common/instant.js';
import { AuthConfig } from '../config/auth-config.js';
import type { FirstFactor } from '../config/ephemeral-token-settings.js';
import { sha256Hex } from '../crypto/hash.js';
import { AuthEvents } from '../events/auth-events.js';
import { hasCutoff, isActive } from '../user/account.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { isFresh, provedAnew, STALE } from './assurance.js';
import { EnrolledFactors } from './enrolled-factors.js';
import { FactorProofs, refusedFactor } from './factor-proofs.js';
import { LoginService, type CompletedLogin, type LoginContext, type TokenTransport } from './login.service.js';
import { PendingLogins, type HeldLogin } from './pending-logins.js';
import type { FactorOccasion } from './second-factor.js';
import { TrustedBrowsers } from './trusted-browsers.js';

/** A pending login, as its client presents it. */
export interface PresentedLogin {
  /** `PendingLogin.token`. */
  readonly token: string;
  /** The values of the challenge cookie that came along. Default: none. */
  readonly challenges?: readonly string[];
}

/** What a client presents to complete a pending login. */
export interface FactorResponse extends PresentedLogin {
  /** The method of the factor, such as `totp`. */
  readonly method: string;
  /** The code, or what the method asks for. */
  readonly response: string;
  /** Whether the user wants not to be asked again in this browser: see `TrustedBrowsers`. Default false. */
  readonly trustBrowser?: boolean | undefined;
}

/** Where the last step of a login comes from. */
export type HeldLoginContext = Omit<
  LoginContext,
  'transport' | 'remember' | 'authenticatedAt' | 'tokensInvalidatedAfter' | 'providerSession' | 'login'
> & {
  /** The tokens that the client presented, by transport. */
  presentedBy?: (transport: TokenTransport) => readonly string[];
};

/** A pending login whose user must enrol a factor. */
export interface EnrollingLogin {
  readonly login: PresentedLogin;
  readonly held: HeldLogin;
  readonly user: AuthUser;
}

/** Who is to prove something, and for what. */
export interface OccasionOf {
  readonly user: AuthUser;
  readonly occasion: FactorOccasion;
}

/** A completed login, and how its client keeps the session: as it was asked for with the first factor. */
export type SecondFactorLogin = CompletedLogin & { readonly transport: TokenTransport };

/**
 * The second step of a login. Wrong responses count for the account in `2fa_attempt`, whatever the method, the transport
 * and the challenge (OWASP ASVS 6.6.3); a new first factor does not begin a new count.
 *
 * @example
 * ```ts
 * const { user, credential } = await secondFactors.complete({ token, challenges, method: 'totp', response: code }, { ip });
 * ```
 */
@Injectable()
export class SecondFactorLoginService {
  constructor(
    private readonly pending: PendingLogins,
    private readonly logins: LoginService,
    private readonly users: UserDirectory,
    private readonly proofs: FactorProofs,
    private readonly factors: EnrolledFactors,
    private readonly trusted: TrustedBrowsers,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    private readonly config: AuthConfig,
  ) {}

  /**
   * Opens the session if the response is right. A wrong one leaves the login pending. Of concurrent calls with one token
   * exactly one opens a session. Emits `login.succeeded` or `login.failed`.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a token that cannot be used, a method that the user does not have and
   *   a wrong response alike, and if the account was disabled or changed since the first factor.
   * @throws {AuthError} `RATE_LIMITED` after `2fa_attempt` wrong ones (default 5 in 15 minutes); the response is not
   *   looked at.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or the factor did not answer; nothing is counted or spent.
   */
  async complete(
    { token, challenges = [], method, response, trustBrowser = false }: FactorResponse,
    context: HeldLoginContext = {},
  ): Promise<SecondFactorLogin> {
    const held = await this.pending.find(token, challenges);
    const user = held && (await this.ownerOf(held));
    if (!held || !user) throw refusedFactor();
    const { ip = null } = context;
    try {
      // The first factor is not asked for again.
      if (held.mustEnrol || held.proofs.includes(method)) throw refusedFactor();
      const work = async (proves = method) => {
        const completed = await this.finish({ login: { token, challenges }, held, user }, proves, context);
        if (!trustBrowser || completed.transport !== 'cookie') return completed;
        // In the transaction that has opened the session: whatever ends the account's access from now on ends it too.
        const trustedBrowser = await this.trusted.trust(user, context.trustedBrowsers ?? [], ip);
        return { ...completed, trustedBrowser };
      };
      return await this.proofs.prove(user, { method, response }, { ip, occasion: occasionOf(token) }, { work });
    } catch (error) {
      const fault = asAuthError(error, 'A second factor');
      const { code: reason } = fault;
      if (reason !== 'RATE_LIMITED') {
        const attempt = { login: held.username, ip, factors: [...provedAnew(held.proofs), method] };
        this.events.emit({ type: 'login.failed', at: this.clock.now(), reason, ...attempt });
      }
      throw fault;
    }
  }

  /**
   * A pending login whose user must enrol a factor, and still has none.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for any other.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  async enrolling(login: PresentedLogin): Promise<EnrollingLogin> {
    const held = await this.pending.find(login.token, login.challenges ?? []);
    const user = held?.mustEnrol && (await this.ownerOf(held));
    if (!user || (await this.factors.methodsOf(user)).length > 0) throw refusedFactor();
    return { login, held, user };
  }

  /**
   * Completes a pending login whose last factor has been proved, by this method. Call it in the transaction that has spent
   * the proof. Of concurrent calls with one token exactly one opens a session. `endAll`, once the token is spent, ends what
   * the account had before, and returns it as it is then.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` if the login is over by now.
   * @throws {AuthError} `INVALID_CREDENTIALS` if the account was disabled or changed since the first factor.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async finish(
    { login: { token, challenges = [] }, held, user }: EnrollingLogin,
    method: string,
    context: HeldLoginContext,
    endAll?: () => Promise<AuthUser>,
  ): Promise<SecondFactorLogin> {
    const { transport, remember, providerSession, username: login } = held;
    // The second factor has been proved: there is nothing to leave out.
    const { presentedBy, trustedBrowsers: _trustedBrowsers, ...rest } = context;
    const presented = presentedBy?.(transport) ?? rest.presented ?? [];
    if (!(await this.pending.complete(token, challenges))) throw refusedFactor();
    const owner = endAll ? await endAll() : user;
    // Of the account as it was at the first factor, but for what has just been ended.
    const firstFactor = owner === user ? firstFactorOf(held) : afterEnding(held, owner);
    const begun = { ...rest, ...firstFactor, presented, transport, remember, providerSession, login };
    // What was ended is later than the first factor, which is no fresher by that.
    const { freshness: maxAge } = this.config.flows;
    const isStale = owner !== user && !isFresh({ ...held, amr: held.proofs }, { now: this.clock.now(), maxAge });
    const proofs = [...held.proofs, ...(isStale ? [STALE] : []), method];
    const completed = await this.logins.begin(owner, proofs, begun);
    if (completed.status !== 'authenticated') throw refusedFactor();
    return { ...completed, transport };
  }

  /**
   * Asks the factor for what the user needs, such as a code by mail. Nothing tells whether it was sent.
   *
   * @throws {AuthError} `RATE_LIMITED` after `email_send` requests of the user (default 3 in 10 minutes).
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a token that cannot be used, and a method that the user does not have.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or the factor did not answer.
   */
  async request(
    { token, challenges = [], method }: Omit<FactorResponse, 'response'>,
    { ip = null }: { ip?: string | null } = {},
  ): Promise<void> {
    const held = await this.pending.find(token, challenges);
    const user = held && (await this.ownerOf(held));
    if (!held || !user || held.mustEnrol || held.proofs.includes(method)) throw refusedFactor();
    await this.proofs.request(user, method, { ip, occasion: occasionOf(token) });
  }

  /**
   * The user of a held login and what its challenge is bound to, for a factor that has to ask something before.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a token that cannot be used, and a method that the user does not have.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or the factor did not answer.
   */
  async occasion({ token, challenges = [], method }: Omit<FactorResponse, 'response'>): Promise<OccasionOf> {
    const held = await this.pending.find(token, challenges);
    const user = held && (await this.ownerOf(held));
    if (!held || !user || held.mustEnrol || held.proofs.includes(method)) throw refusedFactor();
    await this.proofs.require(user, method);
    return { user, occasion: occasionOf(token) };
  }

  /** The account, if it is as it was at the first factor. */
  private async ownerOf({ username, userId, tokensInvalidatedAfter }: HeldLogin): Promise<AuthUser | null> {
    const user = await this.users.findByLogin(username);
    return isActive(user) && user.id === userId && hasCutoff(user, tokensInvalidatedAfter) ? user : null;
  }
}

function firstFactorOf({ authenticatedAt, tokensInvalidatedAfter }: HeldLogin): FirstFactor {
  return { authenticatedAt, tokensInvalidatedAfter };
}

function afterEnding({ authenticatedAt }: HeldLogin, { tokensInvalidatedAfter = null }: AuthUser): FirstFactor {
  return { authenticatedAt: later(authenticatedAt, tokensInvalidatedAfter), tokensInvalidatedAfter };
}

function occasionOf(token: string): FactorOccasion {
  return { purpose: 'second_factor', boundTo: sha256Hex(token) };
}
