import { Injectable } from '@nestjs/common';
import { AuthError, isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthEvents } from '../events/auth-events.js';
import type { RotationOptions, SessionContext } from '../session/session.service.js';
import { hasCutoff, isActive } from '../user/account.js';
import type { AuthUser } from '../user/user.directory.js';
import { BearerSessions } from './bearer-sessions.js';
import { LoginLimits } from './login-limits.js';
import { SessionScheme, type CookieValue } from './session-scheme.js';

/** How the client keeps its session: in our cookie, or as a bearer token that it stores itself. */
export type TokenTransport = 'cookie' | 'bearer';

/** Where a login comes from, and what it takes the place of. */
export interface LoginContext extends SessionContext {
  /** Default `cookie`. */
  transport?: TokenTransport;
  /** What the client presented in that transport: those sessions end with the login (session fixation). */
  presented?: readonly string[];
  /** The name that was typed, for the events; default: the account's address. */
  login?: string;
  /** Epoch ms: when the proof began, before a password was read. Default: now. */
  authenticatedAt?: number;
  /**
   * The account's `tokensInvalidatedAfter` as it was read with the first of several proofs: a login whose account has
   * another by now is refused. Default: as `user` has it.
   */
  tokensInvalidatedAfter?: number | null;
}

/** A login to be judged: the proof itself is the caller's. */
export interface LoginAttempt {
  /** The name that was typed, in the spelling of `normalizeLogin`; `null` where there is none, as with a passkey. */
  readonly login: string | null;
  /** What proves who it is, such as `['password']` or `['passkey']`; names of RFC 8176 where it has one. */
  readonly proofs: readonly string[];
  /** The account that has been proved, or `null`; it is given the client's address. What it throws is a failed login, except a fault (503). */
  readonly verify: (ip: string | null) => Promise<AuthUser | null>;
}

/** A login of which nothing is due any more. */
export interface CompletedLogin {
  readonly user: AuthUser;
  /** The session's value for its transport, shown this once. */
  readonly credential: CookieValue;
}

/**
 * The one door: every session of the application begins here, whatever has proved who the user is, and no controller,
 * flow or host opens one beside it. So a fixed session ends, a stale proof is refused, and the events are emitted for
 * every way in.
 *
 * Throws `INVALID_CREDENTIALS` for an account that is disabled, deleted or changed since the proof began, and
 * `STORE_UNAVAILABLE` for a fault: nobody is logged in by either.
 */
@Injectable()
export class LoginService {
  constructor(
    private readonly scheme: SessionScheme,
    private readonly bearer: BearerSessions,
    private readonly limits: LoginLimits,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * Judges an attempt: back-off and limits of the address and the login name, then the proof, then the session. Only
   * failures count against the limits, and success clears those of the name, never those of the address.
   *
   * Throws `RATE_LIMITED`, `INVALID_CREDENTIALS`, and what `verify` throws.
   */
  async attempt({ login, proofs, verify }: LoginAttempt, context: LoginContext = {}): Promise<CompletedLogin> {
    const ip = context.ip ?? null;
    try {
      return await this.limits.enforce(ip, login, async () => {
        const authenticatedAt = this.clock.now();
        const user = await verify(ip);
        return user && this.begin(user, proofs, { ...context, authenticatedAt, login: login ?? user.email });
      });
    } catch (error) {
      const reason = error instanceof AuthError ? error.code : 'UNKNOWN';
      // A refused attempt was not judged; the limit says once that it is reached.
      if (reason !== 'RATE_LIMITED') {
        const attempt = { login, ip, factors: [...proofs] };
        this.events.emit({ type: 'login.failed', at: this.clock.now(), reason, ...attempt });
      }
      throw error;
    }
  }

  /**
   * Opens the session of a user who has been proved, and ends those that the client presented. For passwords and codes
   * use `attempt`, which limits the guesses too.
   */
  async begin(user: AuthUser, proofs: readonly string[], context: LoginContext = {}): Promise<CompletedLogin> {
    if (!isActive(user)) throw new AuthError('INVALID_CREDENTIALS', 'The account is disabled.', {});
    // From here on the account is compared with `user`, up to the statement that opens the session.
    if (context.tokensInvalidatedAfter !== undefined && !hasCutoff(user, context.tokensInvalidatedAfter)) {
      throw new AuthError('INVALID_CREDENTIALS', 'The account was changed while this login was under way.', {});
    }
    const { transport = 'cookie', ip = null, userAgent = null, login = user.email } = context;
    const opening = { ip, userAgent, authenticatedAt: context.authenticatedAt ?? this.clock.now() };
    const [presented = null, ...others] = context.presented ?? [];
    try {
      let credential: CookieValue;
      if (transport === 'bearer') {
        credential = await this.bearer.open(user, presented, opening);
      } else {
        if (others.length > 0) await this.scheme.revoke(others);
        credential = await this.scheme.open(user, presented, opening);
      }
      const at = this.clock.now();
      this.events.emitAfterTransaction({
        type: 'login.succeeded',
        at,
        userId: user.id,
        login,
        ip,
        factors: [...proofs],
      });
      return { user, credential };
    } catch (error) {
      if (!isAuthError(error, 'USER_NOT_FOUND')) throw error;
      throw new AuthError('INVALID_CREDENTIALS', 'The account was deleted while this login was under way.', {});
    }
  }

  /**
   * A new value for the session of this cookie, at a change of privilege: same session, same lifetime. `null` where it
   * is no live session; revoked meanwhile stays revoked. The old value follows `session.rotationGrace`, unless `grace` is
   * false.
   */
  rotate(value: string, context: SessionContext & RotationOptions = {}): Promise<CookieValue | null> {
    return this.scheme.rotate(value, context);
  }
}
