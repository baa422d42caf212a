import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError, isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthEvents } from '../events/auth-events.js';
import { isSatisfiedBy, type LackingAssurance } from '../login/assurance.js';
import { LoginService, type TokenTransport } from '../login/login.service.js';
import { PasswordLogin } from '../login/password-login.js';
import type { CookieValue } from '../login/session-scheme.js';
import { rateLimited, RateLimitService } from '../rate-limit/rate-limit.service.js';
import type { SessionContext } from '../session/session.service.js';
import type { Session } from '../session/session.js';
import { isActive } from '../user/account.js';
import { normalizeLogin } from '../user/login-name.js';
import { NO_PASSWORD, UserDirectory, type AuthUser } from '../user/user.directory.js';

/** A method by which the user of a session can prove again who they are. */
export type StepUpMethod = 'password';

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
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * The methods that this user has; with `lacking`, those of which one is enough for a session with these proofs.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async methodsOf(
    { userId, amr }: Pick<Session, 'userId' | 'amr'>,
    lacking: LackingAssurance = {},
  ): Promise<StepUpMethod[]> {
    const isEnough = isSatisfiedBy('password', amr, lacking);
    return isEnough && (await this.hasPassword(userId)) ? ['password'] : [];
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
      const elevated = await this.logins.elevate(user, session, attempt.factors, { ...context, authenticatedAt });
      if (!elevated) throw ended();
      // Best effort, here and below: if it fails, one attempt too many is counted.
      await this.limits.refund(decision).catch(() => false);
      const { aal } = elevated.session;
      const of = { ...attempt, handle: elevated.session.handle };
      this.events.emitAfterTransaction({ type: 'step_up.succeeded', at: this.clock.now(), ...of, aal });
      return { user, ...elevated };
    } catch (error) {
      const fault = asAuthError(error, 'The user directory');
      if (fault.code !== 'INVALID_CREDENTIALS') await this.limits.refund(decision).catch(() => false);
      this.events.emit({ type: 'step_up.refused', at: this.clock.now(), ...attempt, reason: fault.code });
      throw fault;
    }
  }

  private async verify(userId: string, password: string, ip: string | null): Promise<AuthUser> {
    const account = await this.users.findById(userId);
    if (!isActive(account)) throw ended();
    return this.passwords.verify(normalizeLogin(account.email), password, { ip });
  }

  private async hasPassword(userId: string): Promise<boolean> {
    try {
      const hash = await this.users.findPasswordHash(userId);
      return hash !== null && hash !== NO_PASSWORD;
    } catch (error) {
      // A directory that tells no hashes verifies passwords all the same.
      if (isAuthError(error, 'UNSUPPORTED')) return true;
      throw asAuthError(error, 'The user directory');
    }
  }
}

function ended(): AuthError {
  return new AuthError('UNAUTHENTICATED', 'The session has ended, or has got another token meanwhile.', {});
}
