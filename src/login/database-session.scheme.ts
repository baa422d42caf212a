import { Injectable } from '@nestjs/common';
import { isPersistent, type AuthenticatedSession, type EndedSession, type Session } from '../session/session.js';
import { SessionService, type RotationOptions, type SessionContext } from '../session/session.service.js';
import type { AuthUser } from '../user/user.directory.js';
import {
  SessionScheme,
  type AuthenticateOptions,
  type CookieValue,
  type ElevatedSession,
  type OpenedCredential,
  type OpeningContext,
  type AuthenticationResult,
} from './session-scheme.js';

/** `scheme: 'database'`: the value is the token of a session in the store. */
@Injectable()
export class DatabaseSessionScheme extends SessionScheme {
  constructor(private readonly sessions: SessionService) {
    super();
  }

  override async open(user: AuthUser, presented: string | null, context: OpeningContext): Promise<OpenedCredential> {
    const id = presented === null ? null : this.sessions.idOf(presented);
    const { token, session } = await this.sessions.rotate(id === null ? null : { id }, user.id, { ...context, user });
    return { ...cookieOf(token, session), handle: session.handle };
  }

  override authenticateCached(value: string): AuthenticatedSession | null {
    return this.sessions.lookupCached(value);
  }

  override async authenticate(
    value: string,
    { fromHandshake = false, extend = true }: AuthenticateOptions = {},
  ): Promise<AuthenticationResult | null> {
    const found = await this.sessions.lookup(value, { fromHandshake });
    if (!found) return null;
    const isDueForExtension = extend && this.sessions.isExtensionDue(found.session);
    const extended = isDueForExtension ? await this.sessions.maybeExtend(found.session) : null;
    const session = extended ?? found.session;
    const isDue =
      extended !== null || found.successor !== undefined || (extend && this.sessions.isJustExtended(session));
    return {
      user: found.user,
      session,
      reissue: isDue ? cookieOf(found.successor ?? value, session) : null,
    };
  }

  override async rotate(value: string, context: SessionContext & RotationOptions): Promise<CookieValue | null> {
    const found = await this.sessions.lookup(value);
    const rotated = found && (await this.sessions.rotate(found.session, found.user.id, context));
    return rotated && cookieOf(rotated.token, rotated.session);
  }

  override async elevate(user: AuthUser, session: Session, context: OpeningContext): Promise<ElevatedSession | null> {
    const elevated = await this.sessions.elevate(session, { ...context, user });
    return elevated && { session: elevated.session, credential: cookieOf(elevated.token, elevated.session) };
  }

  override async revoke(values: readonly string[]): Promise<readonly EndedSession[]> {
    return this.sessions.revokeTokens(values);
  }
}

function cookieOf(value: string, session: Session): CookieValue {
  return { value, expiresAt: session.expiresAt, persistent: isPersistent(session) };
}
