import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { asAuthError, AuthError } from '../../auth.errors.js';
import { Clock } from '../../common/clock.js';
import { later } from '../../common/instant.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import { formatHint } from '../../invalidation/invalidation.js';
import { InvalidationDigest } from '../../invalidation/invalidation-digest.js';
import { userKey } from '../../invalidation/user-key.js';
import { evictedBy, type RemovedSession } from '../../session/evicted-sessions.js';
import type { StoredSessionData } from '../../session/session-data.js';
import { isLive, type AuthenticatedSession, type EndedSession, type StoredSession } from '../../session/session.js';
import { ReadOnlyWarning } from '../../session/read-only-warning.js';
import {
  SessionStore,
  type DataUpdate,
  type Extension,
  type NewSession,
  type OpenedSession,
} from '../../session/session.store.js';
import { UserDirectory, type AuthUser } from '../../user/user.directory.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { readInvalidationDigest } from '../postgres/invalidation-key.js';
import { RedisConnection, takesNoWrites } from './redis-connection.js';
import type { RedisScript } from './redis-script.js';
import { choiceOf, parseData, parseRemoved, parseRow, tailOf, word } from './redis-session.row.js';
import {
  CLOSE_ALL,
  CLOSE_BY_HANDLE,
  CLOSE_FAMILIES,
  EXTEND,
  KEPT_AFTER_END,
  NOW,
  OPEN,
  UPDATE_DATA,
} from './session-scripts.js';

/** How much longer than the grace period a successor is kept, in milliseconds: it is written before the rotation. */
const SUCCESSOR_LEEWAY = 5_000;

/**
 * Sessions in Redis; users stay where the `UserDirectory` has them. There are two kinds of keys, each with a lifetime
 * of its own:
 *
 * - `lk:u:{user}`: a hash of all sessions of one user, by session id. Every decision about them (cap, rotation,
 *   families, revocation) is one script on this one key, on a cluster too.
 * - `lk:s:{id}`: the user's id, since a token names no user. It is written before the session, and only a hint: a
 *   session exists if the hash has it. Ids are never reused, so an ended session cannot come back through it.
 *
 * A third, `lk:n:{id}`, holds what leads from a rotated session to this one, and expires with the grace.
 * Redis's own clock measures it.
 *
 * A lookup is GET, then HGET and the user at the same time; a token that was never issued costs only the GET.
 *
 * Beyond the contract: a login in a browser that still holds a session of **another** user ends that one first, then
 * opens the new one; a fault in between leaves neither. `delete` of several users' sessions is one decision per user.
 * Sessions ended by an account's cutoff stay in the hash, dead, until the cap or the end of their lifetime removes
 * them.
 */
@Injectable()
export class RedisSessionStore extends SessionStore implements OnModuleInit {
  override readonly joinsTransactions = false;
  private readonly readOnly = new ReadOnlyWarning('Redis');
  private digests = new InvalidationDigest();

  constructor(
    private readonly redis: RedisConnection,
    private readonly users: UserDirectory,
    private readonly statements: PreparedStatements,
    private readonly names: SchemaNames,
    private readonly clock: Clock,
  ) {
    super();
  }

  async onModuleInit(): Promise<void> {
    this.digests = await readInvalidationDigest(this.statements, this.names);
  }

  override async find(id: string): Promise<StoredSession | null> {
    const owner = await this.ownerOf(id);
    if (owner === null) return null;
    // The order does not matter: an ended session never comes back, so both answers were true at some instant of this
    // call.
    const [row, user] = await Promise.all([
      this.redis.run('session', (redis) => redis.hGet(this.sessionsOf(owner), id)),
      this.userOf(owner),
    ]);
    if (row === null || !user) return null;
    const { session, rotated } = parseRow(id, row);
    if (!rotated) return { session, rotated, user };
    const [at, successor] = await Promise.all([
      this.onOwnClock(rotated.at, owner),
      rotated.successor && this.redis.run('session', (redis) => redis.get(this.leadTo(rotated.successor!))),
    ]);
    return { session, rotated: { at, successor }, user };
  }

  override async open(session: NewSession): Promise<OpenedSession | null> {
    const { id, now, ttl, absoluteLifetime, replaces, successor, rotationGrace, maxPerUser } = session;
    const isLogin = session.authenticatedAt !== null;
    const { elevates = false } = session;
    const login = isLogin ? await this.login(session, session.authenticatedAt) : null;
    if (isLogin && !login) return null;
    const owner = replaces === null ? null : await this.ownerOf(replaces);
    const userId = login?.userId ?? owner;
    if (userId === null || userKey(userId) !== userKey(session.userId)) return null;
    const isForeign = owner !== null && userKey(owner) !== userKey(userId);
    if (elevates && (owner === null || isForeign)) return null;
    const foreign = isForeign ? (await this.close(CLOSE_FAMILIES, owner, [replaces!])).removed : [];

    const lifetime = Math.ceil(absoluteLifetime + KEPT_AFTER_END);
    await this.redis.run('session', (redis) => redis.set(this.pointerTo(id), userId, { PX: lifetime }));
    // Under the new id, so that after concurrent rotations the row names the one that won.
    if (successor !== null) {
      const PX = Math.ceil(rotationGrace) + SUCCESSOR_LEEWAY;
      await this.redis.run('session', (redis) => redis.set(this.leadTo(id), successor, { PX }));
    }
    // Redis takes no part in the transaction. (The rotated session still leads to the new one.)
    this.statements.afterTransaction(async (outcome) => {
      if (outcome === 'undone' && login) await this.delete([id]).catch(() => {});
    });
    const opened = await this.decide(OPEN, userId, [
      id,
      String(now),
      String(now + ttl),
      randomUUID(),
      login ? String(login.authenticatedAt + absoluteLifetime) : '',
      login ? String(login.authenticatedAt) : '',
      tailOf({ ...session, userId, ...(!login && { amr: undefined }) }),
      replaces ?? '',
      word(successor === null ? null : id),
      String(maxPerUser),
      choiceOf(session.remembered),
      String(now + (session.rememberedTtl ?? ttl)),
      this.clock.isWallClock ? '' : String(now),
      elevates ? '1' : '',
    ]);
    const [row, ...rest] = (opened as string[] | null) ?? [];
    const removed = rest.map((words) => parseRemoved(words, userId));
    this.forget(row === undefined ? [id] : removed.map((gone) => gone.id));
    if (row === undefined) return null;
    return { session: parseRow(id, row).session, ended: evictedBy(session, [...foreign, ...removed]) };
  }

  override async extend({ id, now, expiresAt, extendBelow }: Extension): Promise<number | null> {
    const owner = await this.ownerOf(id);
    if (owner === null) return null;
    const values = [id, String(now), String(expiresAt), String(now + extendBelow)];
    let extended: string | null;
    try {
      extended = (await this.decide(EXTEND, owner, values)) as string | null;
      this.readOnly.wrote();
    } catch (error) {
      if (!takesNoWrites(error)) throw error;
      this.readOnly.refused();
      return null;
    }
    return extended === null ? null : Number(extended);
  }

  override async updateData({ id, now, change }: DataUpdate): Promise<StoredSessionData | null> {
    // The script knows nothing of the account: a session of one that is disabled is over, and stays so.
    const found = await this.find(id);
    if (!found || !isLive(found, now)) return null;
    const fields = [...change.set, ...change.deleted.map((field) => [field, ''] as const)];
    const values = fields.flatMap(([field, json]) => [JSON.stringify(field), json]);
    const lines = (await this.decide(UPDATE_DATA, found.session.userId, [id, String(now), ...values])) as
      string[] | null;
    return lines && parseData(lines);
  }

  override async delete(ids: readonly string[]): Promise<EndedSession[]> {
    const closed = await this.closeFamilies(ids);
    return closed
      .flatMap(({ removed }) => removed)
      .filter(({ isRotated }) => !isRotated)
      .map(({ userId, handle }) => ({ userId, handle }));
  }

  override async deleteReused(id: string): Promise<boolean> {
    return (await this.closeFamilies([id])).some(({ presented }) => presented > 0);
  }

  override async deleteByHandle(userId: string, handle: string): Promise<boolean> {
    return (await this.close(CLOSE_BY_HANDLE, userId, [handle.toLowerCase()])).ended > 0;
  }

  override async deleteByUser(userId: string, exceptId?: string): Promise<number> {
    return (await this.close(CLOSE_ALL, userId, [exceptId ?? ''])).ended;
  }

  override async ownersOf(ids: readonly string[]): Promise<readonly string[]> {
    const owners = await Promise.all(ids.map((id) => this.ownerOf(id)));
    return [...new Set(owners.filter((owner) => owner !== null))];
  }

  override async listByUser(userId: string): Promise<AuthenticatedSession[]> {
    const [rows, user] = await Promise.all([
      this.redis.run('sessions', (redis) => redis.hGetAll(this.sessionsOf(userId))),
      this.userOf(userId),
    ]);
    if (!user) return [];
    return Object.entries(rows)
      .map(([id, row]) => parseRow(id, row))
      .filter(({ rotated }) => rotated === null)
      .map(({ session }) => ({ session, user }))
      .toSorted((a, b) => b.session.lastSeenAt - a.session.lastSeenAt || (a.session.id < b.session.id ? -1 : 1));
  }

  /**
   * The user who logs in, and the instant from which the login counts; `null` if the account has changed since its
   * password was read. The account records the instant, so that no later cutoff is set before it, whatever the clocks
   * of the processes say.
   */
  private async login(
    { userId, cutoff }: NewSession,
    provedAt: number,
  ): Promise<{ userId: string; authenticatedAt: number } | null> {
    const user = await this.userOf(userId);
    if (!user) {
      throw new AuthError('USER_NOT_FOUND', 'There is no user with this id: pass the id of an existing account.', {});
    }
    // A login verified under this cutoff is valid, even if the clock of the process that set the cutoff was ahead.
    const authenticatedAt = toMicrosecond(later(provedAt, cutoff));
    const known = cutoff === undefined ? user : { ...user, tokensInvalidatedAfter: cutoff };
    const confirmed = await this.asked(() => this.users.confirmLogin(known, authenticatedAt));
    return confirmed || cutoff === undefined ? { userId: user.id, authenticatedAt } : null;
  }

  /** One decision per user. */
  private async closeFamilies(ids: readonly string[]): Promise<Closed[]> {
    const byOwner = new Map<string, string[]>();
    const owners = await Promise.all(ids.map((id) => this.ownerOf(id)));
    owners.forEach((owner, i) => {
      if (owner !== null) byOwner.set(owner, [...(byOwner.get(owner) ?? []), ids[i]!]);
    });
    return Promise.all([...byOwner].map(([userId, named]) => this.close(CLOSE_FAMILIES, userId, named)));
  }

  private async close(script: RedisScript, userId: string, values: string[]): Promise<Closed> {
    const [ended, presented, ...rest] = (await this.decide(script, userId, values)) as [number, number, ...string[]];
    const removed = rest.map((words) => parseRemoved(words, userId));
    this.forget(removed.map(({ id }) => id));
    return { ended, presented, removed };
  }

  private decide(script: RedisScript, userId: string, values: string[]): Promise<unknown> {
    const message = formatHint({ users: [this.digests.of('users', userId)] });
    return this.redis.script('sessions', script, [this.sessionsOf(userId)], [this.redis.channel, message, ...values]);
  }

  private forget(ids: readonly string[]): void {
    this.redis.discard(ids.flatMap((id) => [this.pointerTo(id), this.leadTo(id)]));
  }

  private ownerOf(id: string): Promise<string | null> {
    return this.redis.run('session', (redis) => redis.get(this.pointerTo(id)));
  }

  private userOf(id: string): Promise<AuthUser | null> {
    return this.asked(() => this.users.findById(id));
  }

  private async asked<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question();
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }

  /** When this was by our clock: another process, whose clock may differ, has rotated the session. */
  private async onOwnClock(instant: number, owner: string): Promise<number> {
    if (!this.clock.isWallClock) return instant;
    const now = await this.redis.script('session', NOW, [this.sessionsOf(owner)], []);
    return this.clock.now() - (Number(now) - instant);
  }

  private sessionsOf(userId: string): string {
    return `${this.redis.prefix}u:${userKey(userId)}`;
  }

  private leadTo(id: string): string {
    return `${this.redis.prefix}n:${id}`;
  }

  private pointerTo(id: string): string {
    return `${this.redis.prefix}s:${id}`;
  }
}

interface Closed {
  readonly ended: number;
  readonly presented: number;
  readonly removed: readonly RemovedSession[];
}

/** Rounded as PostgreSQL stores it with the account, so that the two can be compared. */
function toMicrosecond(instant: number): number {
  return Math.round(instant * 1000) / 1000;
}
