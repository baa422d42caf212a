import { Injectable, Logger } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import type { Instant } from '../common/instant.js';
import { UUID } from '../common/uuid.js';
import { AuthConfig } from '../config/auth-config.js';
import { lifetimesOf } from '../config/session-settings.js';
import { KeyRing } from '../crypto/key-ring.js';
import type { AuthEvent, RevocationReason } from '../events/auth-event.js';
import { AuthEvents } from '../events/auth-events.js';
import { isBeforeCutoff } from '../user/account.js';
import { checkedUserId } from '../user/checked-user-id.js';
import type { AuthUser } from '../user/user.directory.js';
import { printableContext } from './printable-context.js';
import { RotationChain } from './rotation-chain.js';
import { checkedChange, tooLarge, type SessionDataPatch, type StoredSessionData } from './session-data.js';
import {
  extendedExpiry,
  isJustExtended,
  isInGrace,
  isLive,
  isSelfContained,
  type AssuranceLevel,
  type AuthenticatedSession,
  type EndedSession,
  type Session,
} from './session.js';
import { SessionTokens } from './session-tokens.js';
import { SessionStore, type OpenedSession } from './session.store.js';

/** Where a session comes from; shown in the user's list of sessions. */
export interface SessionContext {
  ip?: string | null;
  userAgent?: string | null;
}

/** What happens to the presented token at a rotation. */
export interface RotationOptions {
  /**
   * Whether the old token leads to the new one for `session.rotationGrace`. Default true. Use false if the new session
   * can do more than the old one: a copy of the old token must not lead into it.
   */
  grace?: boolean;
}

/** The proof of identity on which a session is opened. */
export interface Authentication {
  /** Epoch ms: when the proof began, before the password was read. */
  authenticatedAt: number;
  /**
   * The account as it was read for the proof. If given, a login whose account was disabled or got a new password
   * meanwhile is refused with `INVALID_CREDENTIALS`.
   */
  user?: Pick<AuthUser, 'tokensInvalidatedAfter'>;
  /** Whether the session gets the lifetimes of `session.remembered`; no effect without that option. Default false. */
  remember?: boolean;
  /** What the proof is worth: see `Session.aal`. Default 1. */
  aal?: AssuranceLevel | undefined;
  /** How it was done: see `Session.amr`. Default: not known. */
  amr?: readonly string[] | undefined;
}

/**
 * A new session with its token, which is returned only this once. Stored are its SHA-256 and, while the grace of a
 * rotation lasts, a copy of the successor's token that only a server with the `secrets` can open.
 */
export interface IssuedSession {
  readonly token: string;
  readonly session: Session;
}

/** The session that a token leads to. */
export interface SessionLookup extends AuthenticatedSession {
  /** The token that replaced the one presented; give it to the client if you can. */
  readonly successor?: string;
}

/** The parts of a session that may be shown: no id, no token, and not what the application keeps in it. */
export type ListedSession = Omit<Session, 'id' | 'userId' | 'data'>;

/**
 * Opaque sessions in the database: a random token for the client, its SHA-256 for us. Instants are epoch milliseconds.
 *
 * For a login use `LoginService` or `HttpSessions`, which check the account, end the session the client had, and emit
 * the events; this is the layer below them.
 *
 * A session that is missing, malformed, expired or revoked is `null`, `false` or 0, and every method that
 * returns a promise rejects with `STORE_UNAVAILABLE` if the storage has a fault. All of them are safe to call concurrently from any number of
 * processes.
 *
 * @example
 * ```ts
 * const sessions = await sessionService.listForUser(user.id); // for a page "where you are logged in"
 * await sessionService.revokeByHandle(user.id, sessions[0]!.handle);
 * await sessionService.revokeAllForUser(user.id, { except: current }); // "log out everywhere else"
 * ```
 */
@Injectable()
export class SessionService {
  private readonly rotations: RotationChain;
  private readonly logger = new Logger('Auth');

  constructor(
    private readonly store: SessionStore,
    private readonly tokens: SessionTokens,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
    private readonly events: AuthEvents,
    keyRing: KeyRing,
  ) {
    this.rotations = new RotationChain(store, tokens, keyRing);
  }

  /**
   * Opens a session for a user who has just proved who they are. `authenticatedAt` (epoch ms, default now) is when that
   * proof began: pass the instant before the password was read, so that a password change in the meantime ends the
   * session. With `user`, the login is refused right away if the account has changed since.
   *
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string, or empty.
   * @throws {AuthError} `USER_NOT_FOUND` if the storage knows the users and none has this id.
   * @throws {AuthError} `INVALID_CREDENTIALS` if the account was disabled or got another cutoff since `user` was read.
   * @throws {TypeError} if `authenticatedAt` is not a finite number.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async create(userId: string, context: SessionContext & Partial<Authentication> = {}): Promise<IssuedSession> {
    return this.rotate(null, userId, { ...context, authenticatedAt: context.authenticatedAt ?? this.clock.now() });
  }

  /**
   * The live session of this token and its user, or `null`. A token of the wrong length or alphabet costs no query; any
   * other costs one prepared statement, and one more for each rotation since.
   *
   * For `session.rotationGrace`, a token that was rotated leads to its successor. After that it is `null` and counts as
   * stolen: the sessions it led to end, and `session.reuse_detected` is emitted. Pass `fromHandshake` for a token that
   * is not presented now but has been held for a while, such as that of a socket's handshake: then it is just `null`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async lookup(
    token: string,
    { fromHandshake = false }: { fromHandshake?: boolean } = {},
  ): Promise<SessionLookup | null> {
    const id = this.tokens.idOf(token);
    const found = id === null ? null : await this.store.find(id);
    if (!found) return null;
    const now = this.clock.now();
    const { session, user, rotated } = found;
    if (!rotated) return isLive(found, now) ? { session, user } : null;
    if (isInGrace(rotated, now, this.config.session)) return this.rotations.follow(found, now);
    if (!fromHandshake) await this.endReused(session, now);
    return null;
  }

  /**
   * The session as `lookup` would return it, if it is in memory and nothing has to be written; for `null`, call
   * `lookup`. Synchronous, and never throws.
   */
  lookupCached(token: string): AuthenticatedSession | null {
    if (!this.store.hasCache) return null;
    const id = this.tokens.idOf(token);
    return id === null ? null : (this.store.findCached(id, this.isNotDue) ?? null);
  }

  /**
   * Replaces the session `current` with one that has a new token, in one transaction. Call it at every login and every
   * change of privilege (session fixation: OWASP ASVS 7.2.4).
   *
   * With `authenticatedAt` the user has proved who they are again. The new session has a full lifetime and a new
   * handle, and is opened even if `current` is gone already or belonged to somebody else. The old token is refused at
   * once.
   *
   * Without it the new session keeps the handle, authentication and absolute lifetime of `current`, and the result is
   * `null` if `current` is gone or over: revoked in the meantime stays revoked. Concurrent calls all get the same new
   * token, and for `session.rotationGrace` the old one leads to it too (see `lookup`), so that one tab does not log out
   * another. With `grace: false` one of them gets the token and the others `null`; the old one is refused at once, and
   * counts as stolen only when it comes after the grace, since other tabs may have sent it in the meantime.
   *
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string, or empty.
   * @throws {AuthError} `USER_NOT_FOUND` if the storage knows the users and none has this id.
   * @throws {AuthError} `INVALID_CREDENTIALS` if the account was disabled or got another cutoff since `user` was read.
   * @throws {TypeError} if `authenticatedAt` is given and is not a finite number.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  rotate(
    current: Pick<Session, 'id'> | null,
    userId: string,
    context: SessionContext & Authentication,
  ): Promise<IssuedSession>;
  /**
   * Without a login: the session keeps its handle, authentication and absolute lifetime, and gets a new token. `null`
   * if it is gone, over or another user's. See the first overload for concurrent calls and `grace`.
   *
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string, or empty.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  rotate(
    current: Pick<Session, 'id'>,
    userId: string,
    context?: SessionContext & RotationOptions,
  ): Promise<IssuedSession | null>;
  async rotate(
    current: Pick<Session, 'id'> | null,
    userId: string,
    context: SessionContext & RotationOptions & Partial<Authentication> = {},
  ): Promise<IssuedSession | null> {
    checkedUserId(userId);
    const { maxPerUser, rotationGrace, remembered: choice } = this.config.session;
    const { authenticatedAt, user, grace = true, remember = false, aal, amr } = context;
    const remembered = choice && authenticatedAt !== undefined ? remember : undefined;
    const { ttl, absoluteLifetime } = lifetimesOf({ remembered }, this.config.session);
    if (authenticatedAt !== undefined) requireInstant(authenticatedAt);
    const now = this.clock.now();
    const token = this.tokens.issue();
    const leavesSuccessor = current !== null && authenticatedAt === undefined && grace && rotationGrace > 0;
    const opened = await this.store.open({
      id: this.tokens.idOf(token)!,
      userId,
      now,
      ttl,
      absoluteLifetime,
      remembered,
      rememberedTtl: choice?.ttl,
      maxPerUser,
      authenticatedAt: authenticatedAt === undefined ? null : Math.min(authenticatedAt, now),
      aal,
      amr,
      cutoff: user && (user.tokensInvalidatedAfter ?? null),
      replaces: current?.id ?? null,
      rotationGrace,
      successor: leavesSuccessor ? this.rotations.seal(token, current.id) : null,
      ...printableContext(context),
    });
    if (opened)
      return this.issued(token, opened, now, authenticatedAt === undefined ? 'session.rotated' : 'session.created');
    if (authenticatedAt !== undefined) {
      throw new AuthError('INVALID_CREDENTIALS', 'The account was changed while this login was under way.', {});
    }
    return current && this.rotatedMeanwhile(current.id, userId);
  }

  /**
   * A new token for the session `current`, whose user has just proved again who they are: it keeps its handle and data,
   * and has the authentication given (`aal` and `amr` of all its proofs) and full lifetimes. The old token is refused at
   * once, and counts as stolen only after `session.rotationGrace`, since other tabs may have sent it in the meantime.
   *
   * `null`, with nothing changed, if `current` is gone, over or has another token already, and if the account was disabled
   * or got another cutoff since `user` was read: of concurrent calls exactly one succeeds, and revoked in the meantime
   * stays revoked.
   *
   * @throws {TypeError} if `authenticatedAt` is not a finite number.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async elevate(
    current: Pick<Session, 'id' | 'userId' | 'remembered' | 'authenticatedAt'>,
    context: SessionContext & Omit<Authentication, 'remember'>,
  ): Promise<IssuedSession | null> {
    const { id: replaces, userId, remembered } = current;
    const { authenticatedAt, user, aal, amr } = context;
    requireInstant(authenticatedAt);
    // The statement below asks whether the account still has this cutoff: one that a storage still has is over.
    if (isBeforeCutoff(current.authenticatedAt, user?.tokensInvalidatedAfter)) return null;
    const { maxPerUser, rotationGrace } = this.config.session;
    const { ttl, absoluteLifetime } = lifetimesOf({ remembered }, this.config.session);
    const now = this.clock.now();
    const token = this.tokens.issue();
    const opened = await this.store.open({
      id: this.tokens.idOf(token)!,
      userId,
      now,
      ttl,
      absoluteLifetime,
      remembered,
      maxPerUser,
      authenticatedAt: Math.min(authenticatedAt, now),
      aal,
      amr,
      cutoff: user && (user.tokensInvalidatedAfter ?? null),
      elevates: true,
      replaces,
      rotationGrace,
      successor: null,
      ...printableContext(context),
    });
    return opened && this.issued(token, opened, now, 'session.rotated');
  }

  /** Whether `maybeExtend` would write something for this session now. Synchronous, without a query. */
  isExtensionDue(session: Session): boolean {
    return extendedExpiry(session, this.clock.now(), this.config.session) !== null;
  }

  /**
   * Whether the session was extended in the last five minutes (less for short sessions): the answer with its renewed
   * cookie may have been lost, so the next ones carry it too. Synchronous, without a query.
   */
  isJustExtended(session: Session): boolean {
    return isJustExtended(session, this.clock.now(), this.config.session);
  }

  /**
   * The session with its new expiry if this call extended it. `null` if enough time is left, the absolute lifetime
   * allows no more, the session was revoked meanwhile, or a concurrent request has just extended it.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async maybeExtend(session: Session): Promise<Session | null> {
    const now = this.clock.now();
    const wanted = extendedExpiry(session, now, this.config.session);
    if (wanted === null) return null;
    const { extendBelow } = lifetimesOf(session, this.config.session);
    const expiresAt = await this.store.extend({ id: session.id, now, expiresAt: wanted, extendBelow });
    if (expiresAt === null) return null;
    const { userId, handle } = session;
    this.emit({ type: 'session.extended', at: now, userId, handle, expiresAt });
    return { ...session, expiresAt, lastSeenAt: now };
  }

  /**
   * Changes what the application keeps in the session: the fields that are named are set, or deleted by `null`; the
   * others stay, also when they are changed at the same time. Returns all of the data as it is now, or `null` if the
   * session is over. The `session` passed, and that of the request, keep the data they were read with. A rotation in
   * the meantime is followed for its grace period.
   *
   * The data may take 4,096 bytes as JSON. It is kept when the session is extended or rotated, and ends with it; a login
   * starts without any.
   *
   * @example
   * ```ts
   * export const choose = (sessions: SessionService, session: Session, tenant: string) =>
   *   sessions.updateData(session, { tenant, basket: null }); // null: logged out meanwhile
   * ```
   *
   * @throws {AuthError} `SESSION_DATA_TOO_LARGE` if the data would be larger; nothing has changed.
   * @throws {AuthError} `INVALID_INPUT` if a value is not plain JSON (a `Date`, a class instance, `NaN`, a cycle), or a
   *   key is `__proto__`; nothing has changed.
   * @throws {AuthError} `INVALID_CONFIG` for a signed cookie or a JWT, which has no stored session: use `session:
   *   { scheme: 'database' }` and, for bearer tokens, leave `jwt.sessions` off.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async updateData(
    session: Pick<Session, 'id' | 'handle'>,
    patch: SessionDataPatch,
  ): Promise<StoredSessionData | null> {
    if (isSelfContained(session)) {
      const mistake =
        'A signed cookie or JWT has no stored session that could keep data: use session: { scheme: "database" } and, ' +
        'for bearer tokens, jwt: { sessions: false }.';
      throw new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] });
    }
    const change = checkedChange(patch);
    for (let { id } = session; ;) {
      const now = this.clock.now();
      const data = await this.store.updateData({ id, now, change });
      if (data) return data;
      const found = await this.store.find(id);
      // Nothing ever brings a session back, so one that is live now was live when the change was refused.
      if (found && isLive(found, now)) throw tooLarge();
      const isFollowed = found?.rotated && isInGrace(found.rotated, now, this.config.session);
      const successor = isFollowed ? await this.rotations.follow(found, now) : null;
      if (!successor) return null;
      id = successor.session.id;
    }
  }

  /**
   * The id of the session that this token names, without a query; `null` for anything that is not one of our tokens.
   */
  idOf(token: string): string | null {
    return this.tokens.idOf(token);
  }

  /**
   * Ends one session, by `session.id`, and whatever it was rotated to. Idempotent: false if it had ended already.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async revoke(id: string): Promise<boolean> {
    return (await this.end([id], 'revoked')).length > 0;
  }

  /**
   * Ends the sessions that these tokens lead to, including those rotated at any time; values that are not our tokens
   * are ignored. Idempotent. Returns the sessions that ended.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  revokeTokens(tokens: readonly string[]): Promise<EndedSession[]> {
    return this.end(
      tokens.map((token) => this.tokens.idOf(token)).filter((id) => id !== null),
      'logout',
    );
  }

  /**
   * Ends the user's session with this public handle. False for an unknown handle and for another user's.
   *
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string, or empty.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async revokeByHandle(userId: string, handle: string): Promise<boolean> {
    checkedUserId(userId);
    if (!UUID.test(handle) || !(await this.store.deleteByHandle(userId, handle))) return false;
    this.emitRevoked({ userId, handle: handle.toLowerCase() }, 'revoked_by_handle');
    return true;
  }

  /**
   * Ends every session of the user, except `except` if given. Returns the number of sessions ended. JWTs and signed
   * cookies are not among them: see `TokenRevocationService.revokeAllForUser`.
   *
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string, or empty.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async revokeAllForUser(userId: string, { except }: { except?: Pick<Session, 'id'> } = {}): Promise<number> {
    const count = await this.store.deleteByUser(checkedUserId(userId), except?.id);
    if (count > 0) this.emitRevoked({ userId, handle: null }, 'revoked_all', count);
    return count;
  }

  /**
   * The user's live sessions, most recently used first, without ids and tokens.
   *
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string, or empty.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async listForUser(userId: string): Promise<ListedSession[]> {
    const now = this.clock.now();
    const sessions = await this.store.listByUser(checkedUserId(userId));
    return sessions.filter((found) => isLive(found, now)).map(({ session }) => listed(session));
  }

  private readonly isNotDue = (session: Session): boolean =>
    !this.isExtensionDue(session) && !this.isJustExtended(session);

  /** The session that a concurrent call rotated this one to, during its grace period. */
  private async rotatedMeanwhile(id: string, userId: string): Promise<IssuedSession | null> {
    const found = await this.store.find(id);
    const now = this.clock.now();
    if (!found?.rotated || found.session.userId !== userId) return null;
    const end = isInGrace(found.rotated, now, this.config.session) ? await this.rotations.follow(found, now) : null;
    return end && { token: end.successor, session: end.session };
  }

  /** The session with its token, once it has been told, with the sessions that it displaced. */
  private issued(
    token: string,
    { session, ended }: OpenedSession,
    at: Instant,
    type: 'session.created' | 'session.rotated',
  ): IssuedSession {
    for (const { session: displaced, because } of ended) this.emitRevoked(displaced, because);
    const { userId, handle, ip } = session;
    this.emit({ type, at, userId, handle, ip });
    return { token, session };
  }

  private async end(ids: readonly string[], reason: RevocationReason): Promise<EndedSession[]> {
    const ended = await this.store.delete(ids);
    for (const session of ended) this.emitRevoked(session, reason);
    return ended;
  }

  private emit(event: AuthEvent): void {
    if (this.store.joinsTransactions) this.events.emitAfterTransaction(event);
    else this.events.emit(event);
  }

  private async endReused({ id, userId, handle }: Session, at: number): Promise<void> {
    if (!(await this.store.deleteReused(id))) return;
    this.logger.warn(`A rotated session token came again: session ${handle} of user ${userId} has ended.`);
    this.emit({ type: 'session.reuse_detected', at, userId, handle });
    this.emitRevoked({ userId, handle }, 'reuse');
  }

  private emitRevoked(
    { userId, handle }: { userId: string; handle: string | null },
    reason: RevocationReason,
    count = 1,
  ): void {
    this.emit({ type: 'session.revoked', at: this.clock.now(), userId, handle, reason, count });
  }
}

function requireInstant(authenticatedAt: number): void {
  if (Number.isFinite(authenticatedAt)) return;
  throw new TypeError('authenticatedAt must be an instant in epoch milliseconds.');
}

function listed(session: Session): ListedSession {
  const { id: _id, userId: _userId, data: _data, ...rest } = session;
  return rest;
}
