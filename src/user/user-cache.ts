import { LRUCache } from 'lru-cache';
import { asAuthError } from '../auth.errors.js';
import type { Clock } from '../common/clock.js';
import type { Duration } from '../common/duration.js';
import { SingleFlightReads } from '../invalidation/single-flight-reads.js';
import type { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import { userKey } from '../invalidation/user-key.js';
import { copyOfUser, type AuthUser, type UserDirectory } from './user.directory.js';

interface Entry {
  readonly user: AuthUser;
  readonly readAt: number;
  /** Its name in messages. */
  readonly digest: string;
}

/** Users whose self-contained tokens were checked recently. Use it only while the channel is current. */
export class UserCache {
  private readonly keyByDigest = new Map<string, string>();
  private readonly entries: LRUCache<string, Entry>;
  private readonly reads: SingleFlightReads<AuthUser>;
  private readonly ttl: Duration;

  constructor(
    { max, ttl }: { readonly max: number; readonly ttl: Duration },
    private readonly channel: InvalidationChannel,
    private readonly directory: UserDirectory,
    private readonly clock: Clock,
  ) {
    this.ttl = ttl;
    this.entries = new LRUCache({ max, dispose: ({ digest }) => void this.keyByDigest.delete(digest) });
    this.reads = new SingleFlightReads(channel, ({ id }) => [channel.digest('users', id)]);
    channel.subscribe(({ users = [] }) => this.forget(users));
  }

  /** As `UserDirectory.findById`; every answer is the caller's own copy. A fault is thrown as `STORE_UNAVAILABLE`. */
  async findById(id: string): Promise<AuthUser | null> {
    const key = userKey(id);
    const kept = this.entries.get(key);
    const age = kept && this.clock.now() - kept.readAt;
    // Where ids are arbitrary text, another spelling may be another user.
    if (kept && kept.user.id !== id) return this.load(id);
    if (age !== undefined && age >= 0 && age < this.ttl) return copyOfUser(kept!.user);
    const keep = (user: AuthUser) => {
      if (user.id !== id) return;
      const digest = this.channel.digest('users', id);
      this.entries.set(key, { user, readAt: this.clock.now(), digest });
      this.keyByDigest.set(digest, key);
    };
    const user = await this.reads.read(id, () => this.load(id), keep);
    return user && copyOfUser(user);
  }

  private async load(id: string): Promise<AuthUser | null> {
    try {
      return await this.directory.findById(id);
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }

  private forget(users: readonly string[] | '*'): void {
    if (users === '*') {
      this.reads.forgetAll();
      return this.entries.clear();
    }
    this.reads.forget(users);
    for (const digest of users) {
      const key = this.keyByDigest.get(digest);
      if (key !== undefined) this.entries.delete(key);
    }
  }
}
