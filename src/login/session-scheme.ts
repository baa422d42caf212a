import { Injectable } from '@nestjs/common';
import type { AuthenticatedSession, EndedSession } from '../session/session.js';
import { SessionService, type SessionContext } from '../session/session.service.js';
import type { AuthUser } from '../user/user.directory.js';

/** A cookie's value and when it stops being worth anything (epoch ms). */
export interface CookieValue {
  readonly value: string;
  readonly expiresAt: number;
}

export interface RecognizedSession extends AuthenticatedSession {
  /** A value to send in place of the one that came, because use has moved its expiry or another has taken its place. */
  readonly reissue: CookieValue | null;
}

/**
 * What the session cookie holds. Chosen by `session.scheme`; guard, decorators and routes do not change with it.
 *
 * A value that is missing, malformed, expired, tampered or revoked is `null`; a fault of the storage is thrown.
 */
export abstract class SessionScheme {
  /** A new session for a user who has just proved who they are; the session of `presented` ends. */
  abstract open(user: AuthUser, presented: string | null, context: OpeningContext): Promise<CookieValue>;

  /**
   * Who the value authenticates, and a fresh value when it is due. `isHeld`: it was not presented just now but came with
   * a handshake, so that it is not stolen when it is out of date.
   */
  abstract recognize(value: string, options?: { isHeld?: boolean }): Promise<RecognizedSession | null>;

  /** Who the value authenticates, where that is known without waiting, and nothing is due; `null`: call `recognize`. */
  recall(_value: string): AuthenticatedSession | null {
    return null;
  }

  /**
   * Ends the sessions of these values, whatever else is among them; which they were. The same bytes are refused from then
   * on (R3).
   */
  abstract revoke(values: readonly string[]): Promise<readonly EndedSession[]>;
}

export interface OpeningContext extends SessionContext {
  /** Epoch ms: when the proof began. */
  readonly authenticatedAt: number;
}

/** `scheme: 'database'`: the value is the token of a session in the store. */
@Injectable()
export class DatabaseSessionScheme extends SessionScheme {
  constructor(private readonly sessions: SessionService) {
    super();
  }

  override async open(user: AuthUser, presented: string | null, context: OpeningContext): Promise<CookieValue> {
    const id = presented === null ? null : this.sessions.idOf(presented);
    const { token, session } = await this.sessions.rotate(id === null ? null : { id }, user.id, { ...context, user });
    return { value: token, expiresAt: session.expiresAt };
  }

  override recall(value: string): AuthenticatedSession | null {
    return this.sessions.recall(value);
  }

  override async recognize(value: string, options?: { isHeld?: boolean }): Promise<RecognizedSession | null> {
    const found = await this.sessions.lookup(value, options);
    if (!found) return null;
    const extended = this.sessions.isExtensionDue(found.session)
      ? await this.sessions.maybeExtend(found.session)
      : null;
    const session = extended ?? found.session;
    const isDue = extended !== null || found.successor !== undefined;
    return {
      user: found.user,
      session,
      reissue: isDue ? { value: found.successor ?? value, expiresAt: session.expiresAt } : null,
    };
  }

  override async revoke(values: readonly string[]): Promise<readonly EndedSession[]> {
    return this.sessions.revokeTokens(values);
  }
}
