import { Injectable } from '@nestjs/common';
import { isAuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { Clock } from '../common/clock.js';
import { JwtCodecService, type EncodedToken } from '../jwt/jwt-codec.service.js';
import { JwtSessionService } from '../jwt-session/jwt-session.service.js';
import type { TokenPayload } from '../jwt/jwt-payload.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import { isSelfContained, type AuthenticatedSession, type EndedSession, type Session } from '../session/session.js';
import { SessionService } from '../session/session.service.js';
import { isBeforeCutoff } from '../user/account.js';
import type { AuthUser } from '../user/user.directory.js';
import { proofClaims, proofOf } from './jwt-assurance.js';
import type { AuthenticateOptions, ElevatedSession, OpenedCredential, OpeningContext } from './session-scheme.js';

/**
 * The sessions of `Authorization: Bearer`: the token of a stored session or, with `jwt: { sessions: true }`, a JWT of
 * purpose `session`. Neither is ever accepted as the cookie, nor the cookie's value here.
 */
@Injectable()
export class BearerSessions {
  constructor(
    private readonly sessions: SessionService,
    private readonly codec: JwtCodecService,
    private readonly revocation: TokenRevocationService,
    private readonly jwts: JwtSessionService,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {}

  /** Issues a JWT if those are on, otherwise the token of a new session; the session of `presented` ends. */
  async open(user: AuthUser, presented: string | null, context: OpeningContext): Promise<OpenedCredential> {
    if (this.config.jwt.sessions) {
      const { token, payload } = this.encode(user, context);
      await this.revocation.confirmLogin(user, payload.iat);
      if (this.config.jwt.registry) await this.record(user, payload, presented, context);
      else if (presented !== null) await this.revoke(presented);
      return { value: token, expiresAt: payload.exp, handle: this.jwts.handleOf(payload.jti) };
    }
    const id = presented === null ? null : this.sessions.idOf(presented);
    const { token, session } = await this.sessions.rotate(id === null ? null : { id }, user.id, { ...context, user });
    return { value: token, expiresAt: session.expiresAt, handle: session.handle };
  }

  /**
   * A new token for the session, whose user has just proved again who they are; the old one is refused at once. `null` if
   * the session is over or has a new token already. A JWT gets a new name with it.
   */
  async elevate(user: AuthUser, session: Session, context: OpeningContext): Promise<ElevatedSession | null> {
    if (!isSelfContained(session)) {
      const elevated = await this.sessions.elevate(session, { ...context, user });
      if (!elevated) return null;
      return {
        session: elevated.session,
        credential: { value: elevated.token, expiresAt: elevated.session.expiresAt },
      };
    }
    // As `userOf` decides it; `confirmLogin` asks whether the account still has this cutoff.
    if (isBeforeCutoff(session.createdAt, user.tokensInvalidatedAfter)) return null;
    const { token, payload } = this.encode(user, context);
    if (!(await this.jwts.elevate(user, payload, session, context))) return null;
    return { session: this.sessionOf(payload, user), credential: { value: token, expiresAt: payload.exp } };
  }

  /**
   * The user and session that the token authenticates; `null` for a token without a session. A JWT that is not valid
   * throws `INVALID_TOKEN`, `TOKEN_REVOKED`, `ACCOUNT_INACTIVE` or `TOKENS_INVALIDATED`. A rotated token authenticates
   * during its grace period, but its client is not told the new one.
   */
  async authenticate(
    token: string,
    { fromHandshake = false, extend = true }: AuthenticateOptions = {},
  ): Promise<AuthenticatedSession | null> {
    if (this.isJwt(token)) {
      const payload = this.codec.decode(token);
      const user = await this.revocation.userOf(payload);
      return { user, session: this.sessionOf(payload, user) };
    }
    const found = await this.sessions.lookup(token, { fromHandshake });
    if (!found) return null;
    const { user, session } = found;
    const isDue = extend && this.sessions.isExtensionDue(session);
    const extended = isDue ? await this.sessions.maybeExtend(session) : null;
    return { user, session: extended ?? session };
  }

  /**
   * As `authenticate`, if the session is in memory and nothing has to be written; otherwise `null`: call
   * `authenticate`.
   */
  authenticateCached(token: string): AuthenticatedSession | null {
    // A JWT does not have the form of a session token, which the first check finds.
    return this.sessions.lookupCached(token);
  }

  /** Ends the token and returns its session. Idempotent; anything that is not a token is ignored. */
  async revoke(token: string): Promise<readonly EndedSession[]> {
    if (!this.isJwt(token)) return this.sessions.revokeTokens([token]);
    const payload = this.payloadOf(token);
    if (!payload) return [];
    await this.jwts.revoke(payload);
    return [{ userId: payload.sub, handle: this.jwts.handleOf(payload.jti) }];
  }

  private encode(user: AuthUser, context: OpeningContext): EncodedToken<'session'> {
    const claims = proofClaims(context, this.clock.now());
    return this.codec.encode(user.id, { issuedAfter: user.tokensInvalidatedAfter, claims });
  }

  /** Before the token is handed out: none is missing from the list. */
  private async record(
    user: AuthUser,
    payload: TokenPayload,
    presented: string | null,
    context: OpeningContext,
  ): Promise<void> {
    const replaced = presented === null ? null : this.payloadOf(presented);
    await this.jwts.open(user, payload, replaced, context);
    if (presented !== null && !replaced) await this.revoke(presented);
  }

  /** `null` for anything that is not a valid session JWT; whether it was revoked is another question. */
  private payloadOf(token: string): TokenPayload | null {
    if (!this.isJwt(token)) return null;
    try {
      return this.codec.decode(token);
    } catch (error) {
      if (!isAuthError(error, 'INVALID_TOKEN')) throw error;
      return null;
    }
  }

  /** The session that a JWT represents: it cannot be extended, so both of its ends are the same. */
  private sessionOf(payload: TokenPayload<'session'>, user: AuthUser): Session {
    const { jti, iat, exp } = payload;
    return {
      ...proofOf(payload),
      id: jti,
      handle: this.jwts.handleOf(jti),
      userId: user.id,
      createdAt: iat,
      expiresAt: exp,
      absoluteExpiresAt: exp,
      lastSeenAt: iat,
      ip: null,
      userAgent: null,
      data: {},
    };
  }

  /** Session tokens never have two dots. */
  private isJwt(token: string): boolean {
    return this.config.jwt.sessions && token.split('.', 4).length === 3;
  }
}
