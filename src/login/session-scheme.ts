import type { AuthenticatedSession, EndedSession } from '../session/session.js';
import type { RotationOptions, SessionContext } from '../session/session.service.js';
import type { AuthUser } from '../user/user.directory.js';

/** A cookie's value and when it expires (epoch ms). */
export interface CookieValue {
  readonly value: string;
  readonly expiresAt: number;
}

export interface AuthenticationResult extends AuthenticatedSession {
  /**
   * A value to send in place of the one that was presented, because use has moved its expiry or a rotation has replaced
   * it.
   */
  readonly reissue: CookieValue | null;
}

export interface AuthenticateOptions {
  /**
   * The value was not presented just now but came with a socket's handshake, so an outdated one is no sign of theft.
   * Default false.
   */
  readonly fromHandshake?: boolean;
  /** Whether this is a use of the session, which extends it when it is due. Default true. */
  readonly extend?: boolean;
}

/**
 * What the session cookie holds. Chosen by `session.scheme`; guard, decorators and routes do not change with it.
 *
 * A value that is missing, malformed, expired, tampered or revoked is `null`; a fault of the storage is thrown.
 */
export abstract class SessionScheme {
  /** A new session for a user who has just proved who they are; the session of `presented` ends. */
  abstract open(user: AuthUser, presented: string | null, context: OpeningContext): Promise<CookieValue>;

  /** Who the value authenticates, and a fresh value when it is due. */
  abstract authenticate(value: string, options?: AuthenticateOptions): Promise<AuthenticationResult | null>;

  /** Who the value authenticates, if memory knows it and nothing has to be written; `null`: call `authenticate`. */
  authenticateCached(_value: string): AuthenticatedSession | null {
    return null;
  }

  /**
   * A new value for the same session, at a change of privilege; `null` where the value is no live session. The lifetime
   * and the proof of who the user is stay as they are.
   */
  abstract rotate(value: string, context: SessionContext & RotationOptions): Promise<CookieValue | null>;

  /**
   * Ends the sessions of these values, whatever else is among them. Returns those that ended. The same bytes are
   * refused from then on.
   */
  abstract revoke(values: readonly string[]): Promise<readonly EndedSession[]>;
}

export interface OpeningContext extends SessionContext {
  /** Epoch ms: when the proof began. */
  readonly authenticatedAt: number;
}
