import { LRUCache } from 'lru-cache';
import type { Clock } from '../common/clock.js';
import type { Duration } from '../common/duration.js';
import type { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import { SingleFlightReads } from '../invalidation/single-flight-reads.js';
import type { PreparedStatements } from '../postgres/prepared-statements.js';
import { copyOfUser } from '../user/user.directory.js';
import { lackOf, type ApiKey, type StoredApiKey } from './api-key.js';
import { ApiKeyStore, type LiveKeysAt, type NewApiKey } from './api-key.store.js';

interface Entry {
  readonly found: StoredApiKey;
  readonly readAt: number;
  /** The name of its owner in messages. */
  readonly owner: string;
}

/**
 * Keeps live keys in memory with their owners, as `CachedSessionStore` keeps sessions: a change of the account or of any
 * of its keys, in whichever process, forgets all keys of that owner. While the channel is not current, and in a
 * transaction, every key is read.
 */
export class CachedApiKeyStore extends ApiKeyStore {
  private readonly entries: LRUCache<string, Entry>;
  private readonly hashesByOwner = new Map<string, Set<string>>();
  private readonly reads: SingleFlightReads<StoredApiKey>;
  private readonly ttl: Duration;

  constructor(
    private readonly store: ApiKeyStore,
    { max, ttl }: { readonly max: number; readonly ttl: Duration },
    private readonly channel: InvalidationChannel,
    private readonly statements: PreparedStatements,
    private readonly clock: Clock,
  ) {
    super();
    this.ttl = ttl;
    this.entries = new LRUCache({ max, dispose: ({ owner }, hash) => this.unlink(owner, hash) });
    this.reads = new SingleFlightReads(channel, ({ apiKey }) => [channel.digest('users', apiKey.userId)]);
    channel.subscribe(({ users = [] }) => this.forget(users));
  }

  override async find(hash: string): Promise<StoredApiKey | null> {
    if (this.statements.inTransaction || !this.channel.isCurrent) return this.store.find(hash);
    const now = this.clock.now();
    const kept = this.entries.get(hash);
    const age = kept && now - kept.readAt;
    if (age !== undefined && age >= 0 && age < this.ttl && lackOf(kept!.found, now) === null)
      return copyOf(kept!.found);
    const found = await this.reads.read(
      hash,
      () => this.store.find(hash),
      (read) => {
        if (lackOf(read, this.clock.now()) === null) this.keep(hash, read);
      },
    );
    return found && copyOf(found);
  }

  override insert(key: NewApiKey, limit: LiveKeysAt & { readonly max: number }): Promise<ApiKey | null> {
    return this.store.insert(key, limit);
  }

  override listByUser(userId: string, at: LiveKeysAt): Promise<ApiKey[]> {
    return this.store.listByUser(userId, at);
  }

  override revoke(userId: string, id: string, now: number): ReturnType<ApiKeyStore['revoke']> {
    return this.changing(userId, () => this.store.revoke(userId, id, now));
  }

  override revokeByUser(userId: string, now: number): Promise<string[]> {
    return this.changing(userId, () => this.store.revokeByUser(userId, now));
  }

  /** Nobody is told: what others have in memory differs in nothing that decides. */
  override async touch(hash: string, now: number, grain: Duration): Promise<void> {
    await this.store.touch(hash, now, grain);
    const kept = this.entries.get(hash);
    if (!kept) return;
    const found = { ...kept.found, apiKey: { ...kept.found.apiKey, lastUsedAt: now } };
    this.entries.set(hash, { ...kept, found });
    this.link(kept.owner, hash);
  }

  /** What has expired is not answered from memory, so nobody needs to be told. */
  override deleteOver(instant: number, limit: number): Promise<number> {
    return this.store.deleteOver(instant, limit);
  }

  private keep(hash: string, found: StoredApiKey): void {
    const owner = this.channel.digest('users', found.apiKey.userId);
    this.entries.set(hash, { found, readAt: this.clock.now(), owner });
    this.link(owner, hash);
  }

  /** After `set`, which disposes of the entry that was there. */
  private link(owner: string, hash: string): void {
    const hashes = this.hashesByOwner.get(owner) ?? new Set<string>();
    this.hashesByOwner.set(owner, hashes.add(hash));
  }

  private unlink(owner: string, hash: string): void {
    const hashes = this.hashesByOwner.get(owner);
    hashes?.delete(hash);
    if (hashes?.size === 0) this.hashesByOwner.delete(owner);
  }

  /** Forgets even after a failure: the store may have made the change before its answer was lost. */
  private async changing<T>(userId: string, change: () => Promise<T>): Promise<T> {
    try {
      return await change();
    } finally {
      this.statements.afterTransaction(() => this.channel.deliver({ users: [userId] }));
    }
  }

  private forget(users: readonly string[] | '*'): void {
    if (users === '*') {
      this.reads.forgetAll();
      return this.entries.clear();
    }
    this.reads.forget(users);
    for (const owner of users) for (const hash of this.hashesByOwner.get(owner) ?? []) this.entries.delete(hash);
  }
}

function copyOf(found: StoredApiKey): StoredApiKey {
  return { ...found, user: copyOfUser(found.user) };
}
