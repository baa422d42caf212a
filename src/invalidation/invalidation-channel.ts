import { Logger } from '@nestjs/common';
import { InvalidationDigest, type InvalidationKind } from './invalidation-digest.js';
import { checkedInvalidation, hintOf, type Invalidation, type InvalidationHint } from './invalidation.js';

const log = new Logger('Auth');

export type InvalidationListener = (hint: InvalidationHint) => void;

/**
 * How a change reaches the memory of every process. Caches rely on these guarantees:
 *
 * - While `isCurrent`, everything that was published longer than `cache.maxStaleness` ago has been delivered here. In
 *   practice it takes milliseconds; the bound also holds when the connection breaks silently.
 * - While not, nothing may be answered from memory. Before it turns true again after a break, everything is
 *   invalidated, since it is unknown what was missed.
 *
 * Messages are hints: anyone who may connect to the database can send one (NOTIFY requires no privilege), so a listener
 * only forgets and reads again. They name rows by `digest`, since anyone may LISTEN too.
 *
 * Listeners are called synchronously and in the order of publication. If one throws, that is logged and does not affect
 * the others.
 */
export abstract class InvalidationChannel {
  private readonly listeners = new Set<InvalidationListener>();
  /** Known to this process only, until the key that all share has been read. */
  protected digests = new InvalidationDigest();

  /**
   * Whether a message can be lost although later ones arrive. Memory then keeps nothing for longer than
   * `cache.maxStaleness`, so that the bound still holds.
   */
  get mayLoseMessages(): boolean {
    return false;
  }

  /** Whether changes of other processes are received at all. */
  get hearsEveryProcess(): boolean {
    return true;
  }

  /** Whether memory may answer at this moment. */
  abstract get isCurrent(): boolean;

  /** The name of a session, user or `jti` in a message. It is the same for every spelling of a uuid. */
  digest(kind: InvalidationKind, id: string): string {
    return this.digests.of(kind, id);
  }

  /**
   * Publishes to every process, including this one, and as part of the open `AuthTransaction` if there is one. The
   * module's own tables publish their changes automatically (by triggers); call this for users kept elsewhere, such as
   * `publish({ users: [id] })` when an account is disabled.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if it could not be published.
   * @throws {TypeError} for anything that is not an `Invalidation`.
   */
  abstract publish(invalidation: Invalidation): Promise<void>;

  /** In this process only, at once: a caller must not read back the old state of what it has just changed. */
  deliver(invalidation: Invalidation): void {
    this.tell(hintOf(invalidation, (kind, id) => this.digest(kind, id)));
  }

  protected tell(hint: InvalidationHint): void {
    for (const listener of this.listeners) {
      try {
        listener(hint);
      } catch (error) {
        // The other listeners must still be called.
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

/** For a single process, where nothing else makes changes, or where `cache.ttl` is a sufficient bound. */
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
