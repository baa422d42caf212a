import { Injectable } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { AuditStore, type AuditEntry, type AuditPart } from '../audit/audit.store.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { AdminActed } from '../events/auth-event.js';
import { AuthEvents } from '../events/auth-events.js';
import { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import { JwtSessionService } from '../jwt-session/jwt-session.service.js';
import { AccessRevocation } from '../login/access-revocation.js';
import { RateLimitService, type FullRateLimits } from '../rate-limit/rate-limit.service.js';
import { SessionService, type ListedSession } from '../session/session.service.js';
import { SessionStore } from '../session/session.store.js';
import { UserDirectory, type AuthUser, type UserListPart } from '../user/user.directory.js';

/** Who does something, for the events. */
export interface Admin {
  readonly id: string;
  /** The address, if known. */
  readonly ip: string | null;
}

/**
 * What operators see and do (`flows.admin`), by the admin pages or a controller of yours. It does not ask who is calling:
 * put `@RequireRole('admin')` and `@RequireFresh()` in front of it, and `@RequireAal(2)` if every operator has a second
 * factor. What is done is told as `admin.acted`, with who has done it.
 */
@Injectable()
export class AdminService {
  constructor(
    private readonly users: UserDirectory,
    private readonly sessions: SessionService,
    private readonly store: SessionStore,
    private readonly jwts: JwtSessionService,
    private readonly access: AccessRevocation,
    private readonly limits: RateLimitService,
    private readonly audit: AuditStore,
    private readonly channel: InvalidationChannel,
    private readonly config: AuthConfig,
    private readonly events: AuthEvents,
    private readonly clock: Clock,
  ) {}

  /**
   * Accounts in the order of their addresses.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  listUsers(part: UserListPart): Promise<AuthUser[]> {
    return this.users.list(part);
  }

  /**
   * The account, disabled or not, and its live sessions, the one used last first.
   *
   * @throws {AuthError} `USER_NOT_FOUND` if there is none.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async findUser(userId: string): Promise<{ user: AuthUser; sessions: ListedSession[] }> {
    const user = await this.found(userId);
    const stored = await this.sessions.listForUser(user.id);
    const jwts = this.config.jwt.registry ? await this.jwts.listForUser(user) : [];
    return { user, sessions: [...stored, ...jwts].toSorted((a, b) => b.lastSeenAt - a.lastSeenAt) };
  }

  /**
   * What has happened, the newest first; `null` without `audit.enabled`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async listEvents(part: AuditPart): Promise<AuditEntry[] | null> {
    return this.config.audit.enabled ? this.audit.list(part) : null;
  }

  /**
   * Who is refused by a rate limit now: at most `limit`, of about 10,000 subjects that are looked at.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  listFullLimits(limit: number): Promise<FullRateLimits> {
    return this.limits.listFull({ limit });
  }

  /**
   * From now on the account has no valid session, token or login. Idempotent.
   *
   * @throws {AuthError} `INVALID_INPUT` for the operator's own account: nobody might be left to enable it.
   * @throws {AuthError} `USER_NOT_FOUND` if there is none.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async disable(userId: string, admin: Admin): Promise<void> {
    const { id } = await this.found(userId);
    if (id === admin.id) {
      const fields = { userId: 'must be the account of somebody else' };
      throw new AuthError('INVALID_INPUT', 'Nobody disables their own account: nobody might be left.', { fields });
    }
    await this.users.disable(id);
    // Our own directory has done that; another one need not know of sessions.
    await this.endAll(id, { isTold: true });
    await this.publish(id);
    this.tell('disable', id, admin);
  }

  /**
   * The account can log in again; what has ended stays ended. Idempotent.
   *
   * @throws {AuthError} `USER_NOT_FOUND` if there is none.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async enable(userId: string, admin: Admin): Promise<void> {
    const { id } = await this.found(userId);
    await this.users.enable(id);
    await this.publish(id);
    this.tell('enable', id, admin);
  }

  /**
   * Ends the session or session JWT of the account with this public handle, and no other.
   *
   * @throws {AuthError} `USER_NOT_FOUND` if there is no such account.
   * @throws {AuthError} `SESSION_NOT_FOUND` if it has no such session, or it has ended.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async endSession(userId: string, handle: string, admin: Admin): Promise<void> {
    const { id } = await this.found(userId);
    const isEnded = (await this.sessions.revokeByHandle(id, handle)) || (await this.jwts.revokeByHandle(id, handle));
    if (!isEnded) throw new AuthError('SESSION_NOT_FOUND', 'The account has no live session with this handle.', {});
    this.tell('end_session', id, admin);
  }

  /**
   * Ends every session of the account, JWTs, signed cookies and pending logins among them, and trusts none of its browsers
   * any more: a sign-out everywhere. Returns how many are known to have ended.
   *
   * @throws {AuthError} `USER_NOT_FOUND` if there is none.
   * @throws {AuthError} `UNSUPPORTED` with signed cookies or JWT sessions, if your `UserDirectory` does not override
   *   `invalidateTokens`. The stored sessions have ended then.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async endSessions(userId: string, admin: Admin): Promise<number> {
    const { id } = await this.found(userId);
    const ended = await this.endAll(id, { isTold: false });
    this.tell('end_sessions', id, admin);
    return ended;
  }

  /** `isTold`: another event says that everything has ended. */
  private async endAll(userId: string, { isTold }: { isTold: boolean }): Promise<number> {
    const ended = (await this.sessions.revokeAllForUser(userId)) + (await this.jwts.revokeAllForUser(userId));
    await this.access.endOf(userId, { isTold: isTold || ended > 0 });
    return ended;
  }

  /** JWTs, signed cookies and sessions are answered from the memory of users. */
  private async publish(userId: string): Promise<void> {
    if (!this.users.publishesChanges) await this.channel.publish({ users: [userId] });
  }

  private async found(userId: string): Promise<AuthUser> {
    const user = await this.users.findById(userId);
    if (!user) throw new AuthError('USER_NOT_FOUND', 'There is no such account.', {});
    return user;
  }

  private tell(action: AdminActed['action'], userId: string, { id: adminId, ip }: Admin): void {
    const event = { type: 'admin.acted', at: this.clock.now(), userId, adminId, action, ip } as const;
    // A storage of its own does not bring back what has ended, whatever becomes of a transaction around it.
    const isUndoable = action === 'disable' || action === 'enable' || this.store.joinsTransactions;
    if (isUndoable) this.events.emitAfterTransaction(event);
    else this.events.emit(event);
  }
}
