import { Logger } from '@nestjs/common';
import { InvalidationDigest, type InvalidationKind } from './invalidation-digest.js';
import { checkedInvalidation, hintOf, type Invalidation, type InvalidationHint } from './invalidation.js';

const log = new Logger('Auth');

export type InvalidationListener = (hint: InvalidationHint) => void;

/**
 * How a change reaches the memory of every process. The guarantee that caches build on:
 *
 * - While `isCurrent`, everything that was published longer than `cache.maxStaleness` ago has been delivered here. In
 *   practice it is milliseconds; the bound holds when the connection breaks without a word, too.
 * - While not, nothing may be answered from memory. Before it turns true again after a break, everything is
 *   invalidated: what was missed is not known.
 *
 * Messages are hints: anybody who may connect to the database may send one (NOTIFY asks for no privilege), so a listener
 * forgets and reads again, and believes nothing else. They name rows by `digest`, since anybody may LISTEN too.
 *
 * Listeners are called synchronously and in the order of publication. What one throws is logged, and harms no other.
 */
export abstract class InvalidationChannel {
  private readonly listeners = new Set<InvalidationListener>();
  /** Of this process alone, until the one that all share is known. */
  protected digests = new InvalidationDigest();

  /**
   * Whether a message can be lost although later ones arrive. Then memory keeps nothing for longer than
   * `cache.maxStaleness`, so that the bound holds all the same.
   */
  get mayLoseMessages(): boolean {
    return false;
  }

  /** Whether changes of other processes are heard at all. */
  get hearsEveryProcess(): boolean {
    return true;
  }

  /** Whether memory may answer at this moment. */
  abstract get isCurrent(): boolean;

  /** What a message names the session, user or `jti` by. It is the same for every spelling of a uuid. */
  digest(kind: InvalidationKind, id: string): string {
    return this.digests.of(kind, id);
  }

  /**
   * Publishes to every process, including this one, and as part of the open `AuthTransaction` if there is one. The
   * module's own tables publish their changes by themselves (triggers); a host calls this for users that it keeps
   * elsewhere, such as `publish({ users: [id] })` when an account is disabled. Throws `STORE_UNAVAILABLE` if it could
   * not be published, and a `TypeError` for anything that is not an invalidation.
   */
  abstract publish(invalidation: Invalidation): Promise<void>;

  /** In this process only, at once: a caller must not read back the old state of what it has changed. */
  deliver(invalidation: Invalidation): void {
    this.tell(hintOf(invalidation, (kind, id) => this.digest(kind, id)));
  }

  protected tell(hint: InvalidationHint): void {
    for (const listener of this.listeners) {
      try {
        listener(hint);
      } catch (error) {
        // The others must hear of it all the same.
        log.error(error);
      }
    }
  }

  /** Returns a function that stops listening. */
  subscribe(listener: InvalidationListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** For a single process: nobody else changes anything, or `cache.ttl` is a sufficient bound. */
export class LocalInvalidationChannel extends InvalidationChannel {
  override get hearsEveryProcess(): boolean {
    return false;
  }

  override get isCurrent(): boolean {
    return true;
  }

  override async publish(invalidation: Invalidation): Promise<void> {
    const checked = checkedInvalidation(invalidation);
    if (checked) this.deliver(checked);
  }
}
