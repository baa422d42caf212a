import { Injectable } from '@nestjs/common';
import { asAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { sha256Hex } from '../crypto/hash.js';
import { AuthEvents } from '../events/auth-events.js';
import { hasCutoff, isActive } from '../user/account.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { FactorProofs, refusedFactor } from './factor-proofs.js';
import { LoginService, type CompletedLogin, type LoginContext, type TokenTransport } from './login.service.js';
import { PendingLogins, type HeldLogin } from './pending-logins.js';
import type { FactorOccasion } from './second-factor.js';

/** What a client presents to complete a pending login. */
export interface FactorResponse {
  /** `PendingLogin.token`. */
  readonly token: string;
  /** The values of the challenge cookie that came along. Default: none. */
  readonly challenges?: readonly string[];
  /** The method of the factor, such as `totp`. */
  readonly method: string;
  /** The code, or what the method asks for. */
  readonly response: string;
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
    private readonly clock: Clock,
    private readonly events: AuthEvents,
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
    { token, challenges = [], method, response }: FactorResponse,
    context: Omit<LoginContext, 'transport' | 'remember' | 'authenticatedAt' | 'tokensInvalidatedAfter' | 'login'> & {
      /** The tokens that the client presented, by transport. */
      presentedBy?: (transport: TokenTransport) => readonly string[];
    } = {},
  ): Promise<SecondFactorLogin> {
    const held = await this.pending.find(token, challenges);
    const user = held && (await this.ownerOf(held));
    if (!held || !user) throw refusedFactor();
    const { ip = null } = context;
    const factors = [...held.proofs, method];
    const { transport, remember, authenticatedAt, tokensInvalidatedAfter, username: login } = held;
    const { presentedBy, ...rest } = context;
    const presented = presentedBy?.(transport) ?? rest.presented ?? [];
    const begun = { ...rest, presented, transport, remember, authenticatedAt, tokensInvalidatedAfter, login };
    const work = async (proves = method) => {
      if (!(await this.pending.complete(token, challenges))) throw refusedFactor();
      const completed = await this.logins.begin(user, [...held.proofs, proves], begun);
      if (completed.status !== 'authenticated') throw refusedFactor();
      return completed;
    };
    try {
      // The first factor is not asked for again.
      if (held.proofs.includes(method)) throw refusedFactor();
      const completed = await this.proofs.prove(
        user,
        { method, response },
        { ip, occasion: occasionOf(token) },
        { work },
      );
      return { ...completed, transport };
    } catch (error) {
      const fault = asAuthError(error, 'A second factor');
      const { code: reason } = fault;
      if (reason !== 'RATE_LIMITED') {
        const attempt = { login: held.username, ip, factors };
        this.events.emit({ type: 'login.failed', at: this.clock.now(), reason, ...attempt });
      }
      throw fault;
    }
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
    if (!held || !user || held.proofs.includes(method)) throw refusedFactor();
    await this.proofs.request(user, method, { ip });
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
    if (!held || !user || held.proofs.includes(method)) throw refusedFactor();
    await this.proofs.require(user, method);
    return { user, occasion: occasionOf(token) };
  }

  /** The account, if it is as it was at the first factor. */
  private async ownerOf({ username, userId, tokensInvalidatedAfter }: HeldLogin): Promise<AuthUser | null> {
    const user = await this.users.findByLogin(username);
    return isActive(user) && user.id === userId && hasCutoff(user, tokensInvalidatedAfter) ? user : null;
  }
}

function occasionOf(token: string): FactorOccasion {
  return { purpose: 'second_factor', boundTo: sha256Hex(token) };
}
