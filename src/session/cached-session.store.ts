import type { Clock } from '../common/clock.js';
import type { PreparedStatements } from '../postgres/prepared-statements.js';
import { SingleFlightReads } from '../invalidation/single-flight-reads.js';
import type { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import type { Invalidation, InvalidationHint } from '../invalidation/invalidation.js';
import { copyOfUser } from '../user/user.directory.js';
import type { SessionCache } from './cache/session-cache.js';
import { isLive, type AuthenticatedSession, type EndedSession, type Session, type StoredSession } from './session.js';
import { SessionStore, type Extension, type NewSession, type OpenedSession } from './session.store.js';

/**
 * Any store, with its reads kept in memory. It guarantees, beyond the contract of `SessionStore`:
 *
 * - A session that this process has ended or changed is never read back as it was.
 * - One that another process has ended is not answered as live for longer than the channel's bound; while the channel
 *   does not hear, nothing is answered from memory.
 * - Only live sessions are kept, and an entry that is over by now is read again: it may have been extended elsewhere.
 * - Inside a transaction every read goes to the store: it may see what nobody else does.
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
    const { userId, replaces, authenticatedAt } = session;
    const replaced = replaces === null ? [] : [replaces];
    // The cap may end others of this user. What a login replaces may be somebody else's; a mere rotation changes nothing then.
    const isLogin = authenticatedAt !== null;
    const { sessions, users } = isLogin ? await this.familiesOf(replaced) : { sessions: replaced, users: [] };
    return this.changing({ sessions, users: [userId, ...users] }, () => this.store.open(session));
  }

  override extend(extension: Extension): Promise<number | null> {
    return this.changing({ sessions: [extension.id] }, () => this.store.extend(extension));
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

  /** Expired entries are never answered from memory. */
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
   * With one session its family ends, whose other ids nobody has named: so everything of its user, who never changes. And
   * the session itself, which a lookup under way may have read although it is gone by now.
   */
  private async familiesOf(ids: readonly string[]): Promise<{ sessions: readonly string[]; users: readonly string[] }> {
    return { sessions: ids, users: ids.length === 0 ? [] : await this.store.ownersOf(ids) };
  }

  /** Also when it failed: whether the store did it before the answer was lost is not known. */
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
  return { session: { ...session }, user: copyOfUser(user), rotated };
}
