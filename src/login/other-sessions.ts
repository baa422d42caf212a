import { Injectable } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import { isLive, isSelfContained, type Session } from '../session/session.js';
import { SessionService, type SessionContext } from '../session/session.service.js';
import { SessionStore } from '../session/session.store.js';
import { isActive } from '../user/account.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { joinedProofs, provedAnew } from './assurance.js';
import { LoginService, type TokenTransport } from './login.service.js';
import type { CookieValue } from './session-scheme.js';

/** What the session goes on with. */
export interface GoingOn extends SessionContext {
  /** How the client holds the session. Default `cookie`. */
  readonly transport?: TokenTransport | undefined;
  /** What has been proved by now, in addition. */
  readonly proofs: readonly string[];
  /** Epoch ms: when that was, or what was proved before. */
  readonly authenticatedAt: number;
}

/** Who does something in a session. */
export interface SessionOwner {
  /** As the account was when the session was found. */
  readonly user: AuthUser;
  readonly session: Session;
}

/** Ends the sessions of an account but for the one in which its user has changed something (OWASP ASVS 7.4.3). */
@Injectable()
export class OtherSessions {
  constructor(
    private readonly logins: LoginService,
    private readonly sessions: SessionService,
    private readonly store: SessionStore,
    private readonly revocation: TokenRevocationService,
    private readonly users: UserDirectory,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {}

  /** Another storage does not take part in the transaction: were it rolled back, the session would have lost its token. */
  areJoined(session: Session): boolean {
    return this.store.joinsTransactions || isSelfContained(session);
  }

  /**
   * Ends all others. The session keeps its token, and `null` is returned, unless there are sessions that are stored
   * nowhere: with those it ends too, and this is as `endReplacing`.
   *
   * @throws {AuthError} `UNAUTHENTICATED` if it was to get a new token, and has ended or has got another one meanwhile.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async endKeeping(user: AuthUser, session: Session, context: GoingOn): Promise<CookieValue | null> {
    if (this.config.hasStatelessSessions) return this.endReplacing(user, session, context);
    await this.endStoredBut(session);
    return null;
  }

  /**
   * Ends all, for a login that is about to open another one. Returns the account as it is then: what is stored nowhere
   * ends by its cutoff.
   *
   * @throws {AuthError} `UNAUTHENTICATED` if the account has been disabled or deleted meanwhile.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async endAllOf(user: AuthUser): Promise<AuthUser> {
    await this.sessions.revokeAllForUser(user.id);
    if (!this.config.hasStatelessSessions) return user;
    await this.revocation.endStateless(user.id, { isTold: true });
    const changed = await this.users.findById(user.id);
    if (!isActive(changed)) throw ended();
    return changed;
  }

  /**
   * Ends all others, and gives the session a new token.
   *
   * @throws {AuthError} `UNAUTHENTICATED` if the session has ended, or has got another token meanwhile.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async endReplacing(user: AuthUser, session: Session, { proofs, ...context }: GoingOn): Promise<CookieValue> {
    if (!this.config.hasStatelessSessions) {
      const elevated = await this.logins.elevate(user, session, proofs, context);
      if (!elevated) throw ended();
      await this.endStoredBut(elevated.session);
      return elevated.credential;
    }
    // What is stored nowhere ends by the cutoff of the account, and so does this session: there is a new one for it.
    const isClaimed = isSelfContained(session)
      ? await this.revocation.revoke(session.id, session.absoluteExpiresAt)
      : await this.sessions.revoke(session.id);
    if (!isClaimed) throw ended();
    const changed = await this.endAllOf(user);
    const amr = joinedProofs(provedAnew(session.amr), proofs);
    return this.logins.renew(changed, { ...context, remember: session.remembered, amr, proofs: [] });
  }

  /**
   * Throws if the session is over, or has another token by now: what was found with the request may be older.
   *
   * @throws {AuthError} `UNAUTHENTICATED`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async requireLive(session: Session): Promise<void> {
    if (!(await this.isLive(session))) throw ended();
  }

  /**
   * Throws if this session is over, or everything of its account was ended since it was read: asked in the transaction of
   * what is done in it, with the account locked.
   *
   * @throws {AuthError} `UNAUTHENTICATED`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async requireOwner({ user, session }: SessionOwner): Promise<void> {
    await this.revocation.confirmOwner(user);
    await this.requireLive(session);
  }

  private async endStoredBut(session: Session): Promise<void> {
    await this.sessions.revokeAllForUser(session.userId, { except: session });
  }

  private async isLive(session: Session): Promise<boolean> {
    const now = this.clock.now();
    if (isSelfContained(session)) return now < session.expiresAt && !(await this.revocation.isRevoked(session.id));
    const found = await this.store.find(session.id);
    return found !== null && found.session.userId === session.userId && isLive(found, now);
  }
}

function ended(): AuthError {
  return new AuthError('UNAUTHENTICATED', 'The session has ended, or has got another token meanwhile.', {});
}
