import { LRUCache } from 'lru-cache';
import type { Clock } from '../../common/clock.js';
import type { Duration } from '../../common/duration.js';
import { userKey } from '../../invalidation/user-key.js';
import type { AuthenticatedSession } from '../session.js';
import { SessionCache } from './session-cache.js';

interface Entry {
  readonly found: AuthenticatedSession;
  readonly readAt: number;
}

export interface MemorySessionCacheOptions {
  /** The most entries; one more drops the least recently used. */
  readonly max: number;
  /** An entry that is this old is never returned, used or not. */
  readonly ttl: Duration;
}

/** In the memory of this process, bounded by count and by age. The index by user holds exactly the same entries. */
export class MemorySessionCache extends SessionCache {
  private readonly idsByUser = new Map<string, Set<string>>();
  private readonly entries: LRUCache<string, Entry>;
  private readonly ttl: Duration;

  constructor(
    { max, ttl }: MemorySessionCacheOptions,
    private readonly clock: Clock,
  ) {
    super();
    this.ttl = ttl;
    this.entries = new LRUCache({ max, dispose: ({ found }, id) => this.unindex(found.session.userId, id) });
  }

  override get(id: string): AuthenticatedSession | undefined {
    const entry = this.entries.get(id);
    if (!entry) return undefined;
    const age = this.clock.now() - entry.readAt;
    // A clock that was set back must not make an entry last longer.
    if (age >= 0 && age < this.ttl) return entry.found;
    this.entries.delete(id);
    return undefined;
  }

  override set(id: string, found: AuthenticatedSession): void {
    this.entries.set(id, { found, readAt: this.clock.now() });
    const key = userKey(found.session.userId);
    const ids = this.idsByUser.get(key);
    if (ids) ids.add(id);
    else this.idsByUser.set(key, new Set([id]));
  }

  override invalidate(id: string): void {
    this.entries.delete(id);
  }

  override invalidateByUser(userId: string): void {
    for (const id of this.idsByUser.get(userKey(userId)) ?? []) this.entries.delete(id);
  }

  override clear(): void {
    this.entries.clear();
  }

  /** Entries and users in the index, for tests and for `bench/`. */
  get size(): { sessions: number; users: number } {
    return { sessions: this.entries.size, users: this.idsByUser.size };
  }

  private unindex(userId: string, id: string): void {
    const key = userKey(userId);
    const ids = this.idsByUser.get(key);
    ids?.delete(id);
    if (ids?.size === 0) this.idsByUser.delete(key);
  }
}
