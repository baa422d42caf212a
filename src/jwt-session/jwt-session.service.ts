import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { UUID } from '../common/uuid.js';
import { AuthConfig } from '../config/auth-config.js';
import type { RevocationReason } from '../events/auth-event.js';
import { AuthEvents } from '../events/auth-events.js';
import type { TokenPayload } from '../jwt/jwt-payload.js';
import { PreparedStatements } from '../postgres/prepared-statements.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import { handleOfJwt } from '../session/jwt-handle.js';
import { printableContext } from '../session/printable-context.js';
import type { EndedSession, Session } from '../session/session.js';
import type { ListedSession, SessionContext } from '../session/session.service.js';
import { isActive } from '../user/account.js';
import { checkedUserId } from '../user/checked-user-id.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { JwtSessionStore, type JwtSession, type LiveAt } from './jwt-session.store.js';

/**
 * The session JWTs of a user, listed and ended one by one: with `jwt: { sessions: true, registry: true }`. Without
 * `registry` the list is empty, and nothing ends. `SessionService` does the same for stored sessions.
 *
 * A JWT is listed if a login handed it out since the option is on, until it has expired, been revoked, or its account
 * has been disabled or has invalidated its tokens. Those that you sign with `JwtCodecService.encode` are not listed.
 *
 * @example
 * ```ts
 * const [latest] = await jwtSessions.listForUser(user.id); // the latest first; no jti, no token
 * if (latest) await jwtSessions.revokeByHandle(user.id, latest.handle);
 * ```
 */
@Injectable()
export class JwtSessionService {
  constructor(
    private readonly store: JwtSessionStore,
    private readonly revocation: TokenRevocationService,
    private readonly users: UserDirectory,
    private readonly statements: PreparedStatements,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
    private readonly events: AuthEvents,
  ) {}

  /** The public name of a session JWT: its `jti`, unless `jwt.registry` is on. No query. */
  handleOf(jti: string): string {
    return this.config.jwt.registry ? handleOfJwt(jti) : jti;
  }

  /**
   * Records a JWT before it is handed out. `replaced`, which the client presented, ends with it, and so do those issued
   * first beyond `session.maxPerUser`: all of it or nothing.
   */
  async open(
    user: AuthUser,
    payload: TokenPayload,
    replaced: TokenPayload | null,
    context: SessionContext & Proofs,
  ): Promise<void> {
    await this.statements.transactionLocking(queueOf(user), () => this.record(user, payload, replaced, context));
  }

  /**
   * Puts a JWT in the place of `replaced`, whose user has just proved again who they are. False, with nothing changed, if
   * that one has been revoked or replaced meanwhile: of concurrent calls exactly one succeeds.
   *
   * @throws {AuthError} `INVALID_CREDENTIALS` if the account was disabled or got another cutoff since `user` was read.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async elevate(
    user: AuthUser,
    payload: TokenPayload,
    replaced: Pick<Session, 'id' | 'userId' | 'expiresAt'>,
    context: SessionContext & Proofs,
  ): Promise<boolean> {
    const { id: jti, userId, expiresAt } = replaced;
    return this.statements.transactionLocking(queueOf(user), async () => {
      const { registry } = this.config.jwt;
      const isFirst = registry
        ? (await this.end([ending(userId, { jti, expiresAt }, 'replaced_by_login')])).length > 0
        : await this.revocation.revoke(jti, expiresAt);
      if (!isFirst) return false;
      await this.revocation.confirmLogin(user, payload.iat);
      if (registry) await this.record(user, payload, null, context);
      return true;
    });
  }

  /**
   * The user's live session JWTs, the latest first, without `jti`s and tokens. The account itself, if you have just read
   * it, saves reading it again.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async listForUser(owner: string | AuthUser): Promise<ListedSession[]> {
    const userId = checkedUserId(typeof owner === 'object' ? owner.id : owner);
    const at = await this.liveAt(userId, typeof owner === 'object' ? owner : undefined);
    return at ? (await this.store.listByUser(userId, at)).map(listed) : [];
  }

  /**
   * Ends the user's JWT with this public handle, in all processes, as `TokenRevocationService.revoke` does. Of any number
   * of concurrent calls exactly one returns true. False for an unknown handle and for another user's.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async revokeByHandle(userId: string, handle: string): Promise<boolean> {
    const at = UUID.test(handle) ? await this.liveAt(checkedUserId(userId)) : null;
    const found = at && (await this.store.findByHandle(userId, handle, at));
    return found !== null && (await this.end([ending(userId, found, 'revoked_by_handle')])).length > 0;
  }

  /**
   * Ends those of the user's JWTs that are listed now; returns their number. For everything the user has, also what is
   * issued meanwhile: `TokenRevocationService.revokeAllForUser`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async revokeAllForUser(userId: string): Promise<number> {
    const at = await this.liveAt(checkedUserId(userId));
    if (!at) return 0;
    const found = await this.store.listByUser(userId, at);
    const ended = await this.statements.transaction(() =>
      this.end(found.map((one) => ending(userId, one, 'revoked_all'))),
    );
    return ended.length;
  }

  /** Ends the JWT that a client has sent to end it. Idempotent: nothing ends twice. */
  async revoke({ sub, jti, exp }: TokenPayload): Promise<void> {
    const session = ending(sub, { jti, expiresAt: exp }, 'logout');
    if (this.config.jwt.registry) await this.end([session]);
    else await this.revocation.revoke(jti, exp);
  }

  private async record(
    user: AuthUser,
    { jti, iat, exp }: TokenPayload,
    replaced: TokenPayload | null,
    { aal, amr, ...context }: SessionContext & Proofs,
  ): Promise<void> {
    const { maxPerUser: max } = this.config.session;
    const at: LiveAt = { now: this.clock.now(), cutoff: user.tokensInvalidatedAfter ?? null };
    const origin = printableContext(context);
    const handle = handleOfJwt(jti);
    const session = { jti, handle, userId: user.id, issuedAt: iat, expiresAt: exp, aal, amr, ...origin };
    const surplus = await this.store.add(session, { ...at, max, replaced: replaced?.jti ?? null });
    await this.end([
      ...surplus.map((one) => ending(user.id, one, 'cap')),
      ...(replaced ? [ending(replaced.sub, { jti: replaced.jti, expiresAt: replaced.exp }, 'replaced_by_login')] : []),
    ]);
    const of = { at: at.now, userId: user.id, handle, ip: origin.ip };
    this.events.emitAfterTransaction({ type: 'session.created', ...of });
  }

  /** `null` if nothing of the user is live. */
  private async liveAt(userId: string, known?: AuthUser): Promise<LiveAt | null> {
    if (!this.config.jwt.registry) return null;
    const user = known ?? (await this.users.findById(userId));
    return isActive(user) ? { now: this.clock.now(), cutoff: user.tokensInvalidatedAfter ?? null } : null;
  }

  private async end(sessions: readonly Ending[]): Promise<EndedSession[]> {
    const ended: EndedSession[] = [];
    // In one order for all callers, so that two transactions never wait for each other.
    for (const { userId, jti, exp, reason } of sessions.toSorted((a, b) => (a.jti < b.jti ? -1 : 1))) {
      if (!(await this.revocation.revoke(jti, exp))) continue;
      const session = { userId, handle: handleOfJwt(jti) };
      ended.push(session);
      const at = this.clock.now();
      this.events.emitAfterTransaction({ type: 'session.revoked', at, ...session, reason, count: 1 });
    }
    return ended;
  }
}

type Proofs = Pick<Session, 'aal' | 'amr'>;

/** The logins of one user wait for each other. */
const queueOf = ({ id }: AuthUser): string => `the JWTs of user ${id}`;

interface Ending {
  readonly userId: string;
  readonly jti: string;
  readonly exp: number;
  readonly reason: RevocationReason;
}

function ending(
  userId: string,
  { jti, expiresAt }: Pick<JwtSession, 'jti' | 'expiresAt'>,
  reason: RevocationReason,
): Ending {
  return { userId, jti, exp: expiresAt, reason };
}

/** It cannot be extended, so both of its ends are the same. */
function listed({ handle, issuedAt, expiresAt, ip, userAgent, aal, amr }: JwtSession): ListedSession {
  return {
    handle,
    createdAt: issuedAt,
    authenticatedAt: issuedAt,
    aal,
    amr,
    lastSeenAt: issuedAt,
    expiresAt,
    absoluteExpiresAt: expiresAt,
    ip,
    userAgent,
  };
}
