import type { Clock } from '../common/clock.js';
import type { PreparedStatements } from '../postgres/prepared-statements.js';
import { SingleFlightReads } from '../invalidation/single-flight-reads.js';
import type { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import type { Invalidation, InvalidationHint } from '../invalidation/invalidation.js';
import { copyOfUser } from '../user/user.directory.js';
import type { SessionCache } from './cache/session-cache.js';
import { copyOfData, type StoredSessionData } from './session-data.js';
import { isLive, type AuthenticatedSession, type EndedSession, type Session, type StoredSession } from './session.js';
import { SessionStore, type DataUpdate, type Extension, type NewSession, type OpenedSession } from './session.store.js';

/**
 * Caches the reads of any store in memory. Beyond the contract of `SessionStore` it guarantees:
 *
 * - A session that this process has ended or changed is never read back in its old state.
 * - A session that another process has ended is not answered as live for longer than the channel's bound; while the
 *   channel is not current, nothing is answered from memory.
 * - Only live sessions are kept, and an entry that has expired is read again, since it may have been extended
 *   elsewhere.
 * - Inside a transaction every read goes to the store, where it sees that transaction's own changes.
 * - Every answer is the caller's own copy of the session, and of a user that is a plain object.
 */
export class CachedSessionStore extends SessionStore {
  override readonly joinsTransactions: boolean;
  override readonly hasCache = true;
  private readonly reads: SingleFlightReads<StoredSession>;

  constructor(
    private readonly store: SessionStore,
    private readonly cache: SessionCache,
    private readonly channel: InvalidationChannel,
    private readonly statements: PreparedStatements,
    private readonly clock: Clock,
  ) {
    super();
    this.joinsTransactions = store.joinsTransactions;
    this.reads = new SingleFlightReads(channel, ({ session: { id, userId } }) => [
      channel.digest('sessions', id),
      channel.digest('users', userId),
    ]);
    channel.subscribe((hint) => this.forget(hint));
  }

  override findCached(id: string, isUsable: (session: Session) => boolean): StoredSession | undefined {
    return this.mayRecall ? this.remembered(id, isUsable) : undefined;
  }

  override async find(id: string): Promise<StoredSession | null> {
    if (!this.mayRecall) return this.store.find(id);
    const kept = this.remembered(id);
    if (kept) return kept;
    const load = () => this.store.find(id);
    const found = await this.reads.read(id, load, (read) => {
      if (!read.rotated && isLive(read, this.clock.now())) this.cache.set(id, read);
    });
    return found && copyOf(found, found.rotated);
  }

  override async open(session: NewSession): Promise<OpenedSession | null> {
    const { userId, replaces, authenticatedAt, elevates } = session;
    const replaced = replaces === null ? [] : [replaces];
    // The cap may end other sessions of this user, and a login may replace another user's session; a mere rotation or an
    // elevation does neither.
    const isLogin = authenticatedAt !== null && !elevates;
    const { sessions, users } = isLogin ? await this.familiesOf(replaced) : { sessions: replaced, users: [] };
    return this.changing({ sessions, users: [userId, ...users] }, () => this.store.open(session));
  }

  override extend(extension: Extension): Promise<number | null> {
    return this.changing({ sessions: [extension.id] }, () => this.store.extend(extension));
  }

  override updateData(update: DataUpdate): Promise<StoredSessionData | null> {
    return this.changing({ sessions: [update.id] }, () => this.store.updateData(update));
  }

  override async delete(ids: readonly string[]): Promise<EndedSession[]> {
    return this.changing(await this.familiesOf(ids), () => this.store.delete(ids));
  }

  override async deleteReused(id: string): Promise<boolean> {
    return this.changing(await this.familiesOf([id]), () => this.store.deleteReused(id));
  }

  override deleteByHandle(userId: string, handle: string): Promise<boolean> {
    return this.changing({ users: [userId] }, () => this.store.deleteByHandle(userId, handle));
  }

  override deleteByUser(userId: string, exceptId?: string): Promise<number> {
    return this.changing({ users: [userId] }, () => this.store.deleteByUser(userId, exceptId));
  }

  override ownersOf(ids: readonly string[]): Promise<readonly string[]> {
    return this.store.ownersOf(ids);
  }

  override listByUser(userId: string): Promise<AuthenticatedSession[]> {
    return this.store.listByUser(userId);
  }

  override deleteSuccessors(rotatedAt: number, limit: number): Promise<number> {
    return this.store.deleteSuccessors(rotatedAt, limit);
  }

  /** Needs no invalidation: expired entries are never answered from memory. */
  override deleteExpired(now: number, limit: number): Promise<number> {
    return this.store.deleteExpired(now, limit);
  }

  private get mayRecall(): boolean {
    return !this.statements.inTransaction && this.channel.isCurrent;
  }

  private remembered(id: string, isUsable: (session: Session) => boolean = () => true): StoredSession | undefined {
    const kept = this.cache.get(id);
    if (!kept || !isLive(kept, this.clock.now()) || !isUsable(kept.session)) return undefined;
    return copyOf(kept, null);
  }

  /**
   * Ending a session ends its family, whose other ids are unknown here, so everything of that user is invalidated. The
   * session itself is named too, for a lookup in flight that read it before it was deleted.
   */
  private async familiesOf(ids: readonly string[]): Promise<{ sessions: readonly string[]; users: readonly string[] }> {
    return { sessions: ids, users: ids.length === 0 ? [] : await this.store.ownersOf(ids) };
  }

  /** Invalidates even after a failure: the store may have made the change before its answer was lost. */
  private async changing<Result>(changed: Invalidation, change: () => Promise<Result>): Promise<Result> {
    try {
      return await change();
    } finally {
      this.statements.afterTransaction(() => this.channel.deliver(changed));
    }
  }

  private forget({ sessions = [], users = [] }: InvalidationHint): void {
    if (sessions === '*' || users === '*') {
      this.reads.forgetAll();
      return this.cache.clear();
    }
    this.reads.forget([...sessions, ...users]);
    for (const digest of sessions) this.cache.invalidate(digest);
    for (const digest of users) this.cache.invalidateByUser(digest);
  }
}

function copyOf({ session, user }: AuthenticatedSession, rotated: StoredSession['rotated']): StoredSession {
  return {
    session: { ...session, amr: session.amr.slice(), data: copyOfData(session.data) },
    user: copyOfUser(user),
    rotated,
  };
}
