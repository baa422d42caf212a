import type { AssuranceLevel, AuthenticatedSession, EndedSession, Session } from '../session/session.js';
import type { RotationOptions, SessionContext } from '../session/session.service.js';
import type { AuthUser } from '../user/user.directory.js';

/** A cookie's value and when it expires (epoch ms). */
export interface CookieValue {
  readonly value: string;
  readonly expiresAt: number;
  /** Whether the cookie outlives the browser: false for a login that was not remembered. Default true. */
  readonly persistent?: boolean;
}

/** The value of a session that has just been opened. */
export interface OpenedCredential extends CookieValue {
  /** The public name of the session; `null` if it is stored nowhere, and so ends by no name. */
  readonly handle: string | null;
}

export interface AuthenticationResult extends AuthenticatedSession {
  /** A value to send in place of the one presented, because the session was extended or rotated. */
  readonly reissue: CookieValue | null;
}

export interface AuthenticateOptions {
  /**
   * The value was not presented now but came with a socket's handshake, so an outdated one is not a sign of theft.
   * Default false.
   */
  readonly fromHandshake?: boolean;
  /** Whether this counts as use of the session, which extends it when it is due. Default true. */
  readonly extend?: boolean;
}

/**
 * The content of the session cookie, chosen by `session.scheme`; guard, decorators and routes are the same for each.
 *
 * A value that is missing, malformed, expired, tampered with or revoked is `null`; a fault of the storage is thrown.
 */
export abstract class SessionScheme {
  /** Opens a session for a user who has just proved who they are; the session of `presented` ends. */
  abstract open(user: AuthUser, presented: string | null, context: OpeningContext): Promise<OpenedCredential>;

  /** The user and session that the value authenticates, and a fresh value if one is due. */
  abstract authenticate(value: string, options?: AuthenticateOptions): Promise<AuthenticationResult | null>;

  /**
   * As `authenticate`, if the session is in memory and nothing has to be written; otherwise `null`: call
   * `authenticate`.
   */
  authenticateCached(_value: string): AuthenticatedSession | null {
    return null;
  }

  /**
   * A new value for the same session, at a change of privilege; `null` if the value does not name a live session. The
   * session keeps its lifetime and proof.
   */
  abstract rotate(value: string, context: SessionContext & RotationOptions): Promise<CookieValue | null>;

  /**
   * A new value for the session, whose user has just proved again who they are; the old one is refused at once. `null` if
   * the session is over or has a new value already.
   */
  abstract elevate(user: AuthUser, session: Session, context: OpeningContext): Promise<ElevatedSession | null>;

  /**
   * Ends the sessions of these values; other values are ignored. Returns those that ended. From then on the same bytes
   * are refused.
   */
  abstract revoke(values: readonly string[]): Promise<readonly EndedSession[]>;
}

/** A session with its new value. */
export interface ElevatedSession {
  readonly session: Session;
  readonly credential: CookieValue;
}

export interface OpeningContext extends SessionContext {
  /** Epoch ms: when the proof began. */
  readonly authenticatedAt: number;
  /** What the proofs are worth, and the methods of them. */
  readonly aal: AssuranceLevel;
  readonly amr: readonly string[];
  /** Whether the login asked to be remembered. Default false. */
  readonly remember?: boolean | undefined;
}
