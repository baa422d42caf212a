import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthEvents } from '../events/auth-events.js';
import { FactorProofs } from '../login/factor-proofs.js';
import { LoginService, type TokenTransport } from '../login/login.service.js';
import { PasswordLogin } from '../login/password-login.js';
import type { CookieValue } from '../login/session-scheme.js';
import type { FactorOccasion } from '../login/second-factor.js';
import type { OccasionOf } from '../login/second-factor-login.service.js';
import { StepUpMethods, type StepUpQuestion } from '../login/step-up-methods.js';
import type { StepUpWay } from '../login/ways-in.js';
import { rateLimited, RateLimitService } from '../rate-limit/rate-limit.service.js';
import type { SessionContext } from '../session/session.service.js';
import { isSelfContained, type Session } from '../session/session.js';
import { SessionStore } from '../session/session.store.js';
import { isActive } from '../user/account.js';
import { normalizeLogin } from '../user/login-name.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';

/** A method by which the user of a session can prove again who they are: `password`, or that of a second factor. */
export type StepUpMethod = string;

/** Where a step-up comes from. */
export interface StepUpContext extends SessionContext {
  /** How the client holds the session. Default `cookie`. */
  transport?: TokenTransport;
}

/** A session whose user has proved again who they are. */
export interface SteppedUp {
  readonly user: AuthUser;
  /** The session as it is now, with the handle that it had. */
  readonly session: Session;
  /** The new value of its cookie, or its new bearer token, shown only this once. */
  readonly credential: CookieValue;
}

/**
 * "Confirm that it is you", inside a live session: its user proves again who they are, and the session counts as fresh,
 * with the proof added to its own (`@RequireFresh`, `@RequireAal`, `@RequireAmr`).
 *
 * The session gets a new token, and the old one is refused at once: a copy of the old cookie does not follow into the
 * elevated session (OWASP ASVS 7.2.4). It keeps its handle and its data, and both of its timeouts begin anew (NIST SP
 * 800-63B-4, section 5.2). A JWT is revoked and replaced, and so has another handle.
 *
 * @example
 * ```ts
 * const { session, credential } = await stepUps.byPassword(current, password, { transport: 'bearer', ip });
 * return { token: credential.value, aal: session.aal }; // the old token is refused from now on
 * ```
 */
@Injectable()
export class StepUpService {
  constructor(
    private readonly users: UserDirectory,
    private readonly passwords: PasswordLogin,
    private readonly limits: RateLimitService,
    private readonly logins: LoginService,
    private readonly methods: StepUpMethods,
    private readonly factors: FactorProofs,
    private readonly sessions: SessionStore,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * The methods that this user has; with `lacking`, those of which one is enough for a session with these proofs.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  methodsOf(session: Pick<Session, 'userId' | 'amr'>, question: StepUpQuestion = {}): Promise<StepUpMethod[]> {
    return this.methods.of(session, question);
  }

  /**
   * The same, with what each is done by.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  waysOf(session: Pick<Session, 'userId' | 'amr'>, question: StepUpQuestion = {}): Promise<StepUpWay[]> {
    return this.methods.waysOf(session, question);
  }

  /**
   * A step-up by the password of the session's user. Wrong ones count in `password_change`, as those of a change of
   * password do, and in `password.maxFailures`; right ones count nowhere. Of concurrent calls for one session exactly one
   * succeeds. Emits `step_up.succeeded` or `step_up.refused`.
   *
   * @throws {AuthError} `INVALID_CREDENTIALS` if the password is wrong, disabled or another account's, or the account was
   *   changed meanwhile. The session goes on as it was.
   * @throws {AuthError} `UNAUTHENTICATED` if the session has ended, or has got another token meanwhile.
   * @throws {AuthError} `RATE_LIMITED` after `password_change` wrong ones (default 5 in 15 minutes).
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing is counted.
   * @throws {AuthError} `INVALID_CONFIG` for a signed cookie.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing is counted.
   */
  async byPassword(session: Session, password: string, context: StepUpContext = {}): Promise<SteppedUp> {
    const { userId, handle } = session;
    const { ip = null } = context;
    const attempt = { userId, handle, ip, factors: ['password'] } as const;
    const decision = await this.limits.consume('password_change', userId);
    if (!decision.allowed) throw rateLimited(decision);
    try {
      const authenticatedAt = this.clock.now();
      const user = await this.verify(userId, password, ip);
      const stepped = await this.elevate(user, session, 'password', { ...context, authenticatedAt });
      // Best effort, here and below: if it fails, one attempt too many is counted.
      await this.limits.refund(decision).catch(() => false);
      return stepped;
    } catch (error) {
      const fault = asAuthError(error, 'The user directory');
      if (fault.code !== 'INVALID_CREDENTIALS') await this.limits.refund(decision).catch(() => false);
      this.events.emit({ type: 'step_up.refused', at: this.clock.now(), ...attempt, reason: fault.code });
      throw fault;
    }
  }

  /**
   * A step-up by a second factor that the session's user has. Wrong responses count in `2fa_attempt` together with those
   * of logins; a trusted browser is of no use here. Of concurrent calls with one response exactly one succeeds. Emits
   * `step_up.succeeded` or `step_up.refused`.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a method that the user does not have and a wrong response alike. The
   *   session goes on as it was.
   * @throws {AuthError} `UNAUTHENTICATED` if the session has ended, or has got another token meanwhile.
   * @throws {AuthError} `RATE_LIMITED` after `2fa_attempt` wrong ones (default 5 in 15 minutes).
   * @throws {AuthError} `INVALID_CONFIG` for a signed cookie.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or the factor did not answer; nothing is counted.
   *
   * @example
   * ```ts
   * const { session, credential } = await stepUps.byFactor(current, 'totp', code, { transport: 'bearer', ip });
   * ```
   */
  async byFactor(
    session: Session,
    method: StepUpMethod,
    response: string,
    context: StepUpContext = {},
  ): Promise<SteppedUp> {
    const { ip = null } = context;
    try {
      const user = await this.ownerOf(session);
      const authenticatedAt = this.clock.now();
      const work = (proves = method) => this.elevate(user, session, proves, { ...context, authenticatedAt });
      // Another storage does not take part in the transaction: were it rolled back, the session would have lost its token.
      const isJoined = this.sessions.joinsTransactions || isSelfContained(session);
      return await this.factors.prove(
        user,
        { method, response },
        { ip, occasion: occasionOf(session) },
        { work, isJoined },
      );
    } catch (error) {
      const fault = asAuthError(error, 'A second factor');
      if (fault.code !== 'RATE_LIMITED') {
        const attempt = { userId: session.userId, handle: session.handle, ip, factors: [method] };
        this.events.emit({ type: 'step_up.refused', at: this.clock.now(), ...attempt, reason: fault.code });
      }
      throw fault;
    }
  }

  /**
   * Asks the factor of this method for what the session's user needs, such as a code by mail.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a method that the user does not have.
   * @throws {AuthError} `UNAUTHENTICATED` if the account is gone.
   * @throws {AuthError} `RATE_LIMITED` after `email_send` requests of the user (default 3 in 10 minutes).
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or the factor did not answer.
   */
  async request(session: Session, method: StepUpMethod, { ip = null }: StepUpContext = {}): Promise<void> {
    await this.factors.request(await this.ownerOf(session), method, { ip, occasion: occasionOf(session) });
  }

  /**
   * The user of a session and what its challenge is bound to, for a factor that has to ask something before.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a method that the user does not have.
   * @throws {AuthError} `UNAUTHENTICATED` if the account is gone.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or the factor did not answer.
   */
  async occasion(session: Session, method: StepUpMethod): Promise<OccasionOf> {
    const user = await this.ownerOf(session);
    await this.factors.require(user, method);
    return { user, occasion: occasionOf(session) };
  }

  private async elevate(
    user: AuthUser,
    session: Session,
    method: StepUpMethod,
    context: StepUpContext & { authenticatedAt: number },
  ): Promise<SteppedUp> {
    const elevated = await this.logins.elevate(user, session, [method], context);
    if (!elevated) throw ended();
    const { aal, handle, userId } = elevated.session;
    const attempt = { userId, handle, ip: context.ip ?? null, factors: [method] };
    this.events.emitAfterTransaction({ type: 'step_up.succeeded', at: this.clock.now(), ...attempt, aal });
    return { user, ...elevated };
  }

  private async ownerOf({ userId }: Session): Promise<AuthUser> {
    try {
      const account = await this.users.findById(userId);
      if (isActive(account)) return account;
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
    throw ended();
  }

  private async verify(userId: string, password: string, ip: string | null): Promise<AuthUser> {
    const account = await this.users.findById(userId);
    if (!isActive(account)) throw ended();
    return this.passwords.verify(normalizeLogin(account.email), password, { ip });
  }
}

function occasionOf({ handle: boundTo }: Session): FactorOccasion {
  return { purpose: 'step_up', boundTo };
}

function ended(): AuthError {
  return new AuthError('UNAUTHENTICATED', 'The session has ended, or has got another token meanwhile.', {});
}
