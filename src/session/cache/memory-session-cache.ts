import { LRUCache } from 'lru-cache';
import type { Clock } from '../../common/clock.js';
import type { Duration } from '../../common/duration.js';
import type { InvalidationChannel } from '../../invalidation/invalidation-channel.js';
import type { AuthenticatedSession } from '../session.js';
import { SessionCache } from './session-cache.js';

interface Entry {
  readonly found: AuthenticatedSession;
  readonly readAt: number;
  /** Its name and its user's in messages. */
  readonly digest: string;
  readonly owner: string;
}

export interface MemorySessionCacheOptions {
  /** The maximum number of entries; one more drops the least recently used. */
  readonly max: number;
  /** An entry of this age is never returned, used or not. */
  readonly ttl: Duration;
}

/** Sessions in the memory of this process, bounded by count and by age. The indexes hold exactly the same entries. */
export class MemorySessionCache extends SessionCache {
  private readonly idByDigest = new Map<string, string>();
  /** Most users have one session here, and a Set for each would be a tenth of the memory. */
  private readonly idsByUser = new Map<string, string | Set<string>>();
  private readonly entries: LRUCache<string, Entry>;
  private readonly ttl: Duration;

  constructor(
    { max, ttl }: MemorySessionCacheOptions,
    private readonly clock: Clock,
    private readonly channel: Pick<InvalidationChannel, 'digest'>,
  ) {
    super();
    this.ttl = ttl;
    this.entries = new LRUCache({ max, dispose: (entry, id) => this.unindex(entry, id) });
  }

  override get(id: string): AuthenticatedSession | undefined {
    const entry = this.entries.get(id);
    if (!entry) return undefined;
    const age = this.clock.now() - entry.readAt;
    // Setting the clock back must not make an entry last longer.
    if (age >= 0 && age < this.ttl) return entry.found;
    this.entries.delete(id);
    return undefined;
  }

  override set(id: string, found: AuthenticatedSession): void {
    const digest = this.channel.digest('sessions', id);
    const owner = this.channel.digest('users', found.session.userId);
    this.entries.set(id, { found, readAt: this.clock.now(), digest, owner });
    this.idByDigest.set(digest, id);
    const others = this.idsByUser.get(owner);
    if (others instanceof Set) others.add(id);
    else this.idsByUser.set(owner, others === undefined ? id : new Set([others, id]));
  }

  override invalidate(digest: string): void {
    const id = this.idByDigest.get(digest);
    if (id !== undefined) this.entries.delete(id);
  }

  override invalidateByUser(digest: string): void {
    const ids = this.idsByUser.get(digest) ?? [];
    for (const id of typeof ids === 'string' ? [ids] : ids) this.entries.delete(id);
  }

  override clear(): void {
    this.entries.clear();
  }

  /** The number of entries, and of users in the index; for tests and `bench/`. */
  get size(): { sessions: number; users: number } {
    return { sessions: this.entries.size, users: this.idsByUser.size };
  }

  private unindex({ digest, owner }: Entry, id: string): void {
    this.idByDigest.delete(digest);
    const ids = this.idsByUser.get(owner);
    if (ids instanceof Set) ids.delete(id);
    if (ids === id || (ids instanceof Set && ids.size === 0)) this.idsByUser.delete(owner);
  }
}
