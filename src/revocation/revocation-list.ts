import { Logger } from '@nestjs/common';
import type { Clock } from '../common/clock.js';
import type { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import type { RevokedToken, RevokedTokenStore } from './revoked-token.store.js';

/** Milliseconds until the list is read again after a success, after a failure, or if it was too long. */
const RETRY_AFTER = { success: 1_000, failure: 1_000, overflow: 60_000 };
/** How many revoked tokens messages may name before the list is read again. */
const MAX_UNREAD = 1_000;

/**
 * All self-contained tokens that were revoked before they expired, in memory: read at boot, kept current through the
 * channel, and read again whenever the channel may have missed something. It answers only while it is complete;
 * otherwise, and always if there are more than `max` of them, the database is asked.
 *
 * A message is a hint: for a token that it names, the database is asked. However many arrive, the list is read at most
 * once a second, and no message makes a request more expensive than it would be without a list.
 */
export class RevocationList {
  private readonly logger = new Logger('Auth');
  private revoked = new Map<string, number>();
  private isWhole = false;
  private isTooLong = false;
  /** Tokens that messages have named since the list was read. */
  private unread = new Set<string>();
  private loading: Promise<void> | undefined;
  private generation = 0;
  private nextAttempt = 0;
  private pruneAt = 1_000;

  constructor(
    private readonly store: RevokedTokenStore,
    private readonly channel: InvalidationChannel,
    private readonly clock: Clock,
    private readonly max: number,
  ) {
    channel.subscribe(({ tokens }) => {
      if (tokens === '*') this.reload();
      else if (tokens) this.hear(tokens);
    });
  }

  /** Whether the token is on the list, or `undefined` if that cannot be said from memory at the moment. */
  has(jti: string): boolean | undefined {
    if (this.isWhole && this.channel.isCurrent) {
      if (this.revoked.has(jti)) return true;
      const isNamed = this.unread.size > 0 && this.unread.has(this.channel.digest('tokens', jti));
      return isNamed ? undefined : false;
    }
    if (!this.isWhole) void this.load();
    return undefined;
  }

  /** Adds tokens that this process has revoked itself. */
  add(...tokens: readonly RevokedToken[]): void {
    if (!this.isWhole && !this.loading) return;
    for (const [jti, exp] of tokens) this.revoked.set(jti, Math.max(exp, this.revoked.get(jti) ?? 0));
    if (this.revoked.size >= this.pruneAt) this.prune();
    if (this.isWhole && this.revoked.size > this.max) this.overflow();
  }

  /** Reads the list unless it is in memory. Resolves even if that failed; it is then retried later. */
  load(): Promise<void> {
    if (this.isWhole || performance.now() < this.nextAttempt) return Promise.resolve();
    this.loading ??= this.read().finally(() => (this.loading = undefined));
    return this.loading;
  }

  private reload(): void {
    this.generation++;
    this.isWhole = false;
    void this.load();
  }

  private async read(): Promise<void> {
    const { generation } = this;
    this.revoked = new Map();
    // Tokens named meanwhile stay: they may have been revoked after the list was read.
    this.unread = new Set();
    try {
      const listed = await this.store.list(this.clock.now(), this.max + 1);
      this.nextAttempt = performance.now() + RETRY_AFTER.success;
      if (generation !== this.generation) return;
      this.add(...listed);
      if (this.revoked.size > this.max) return this.overflow();
      this.isWhole = true;
      this.isTooLong = false;
    } catch {
      // Until then the database is asked for each token, and the caller gets its error.
      this.nextAttempt = performance.now() + RETRY_AFTER.failure;
    }
  }

  private hear(digests: readonly string[]): void {
    for (const digest of digests) this.unread.add(digest);
    if (this.unread.size > MAX_UNREAD) this.reload();
  }

  /** Expired tokens are refused anyway. The next time at twice the number left, so that it costs next to nothing. */
  private prune(): void {
    const now = this.clock.now();
    for (const [jti, exp] of this.revoked) if (exp <= now) this.revoked.delete(jti);
    this.pruneAt = Math.max(1_000, 2 * this.revoked.size);
  }

  private overflow(): void {
    if (!this.isTooLong) {
      this.logger.warn(
        `More than ${this.max} tokens are revoked: the database is asked for each request with a token. ` +
          'Raise cache.maxRevokedTokens.',
      );
    }
    this.isTooLong = true;
    this.isWhole = false;
    this.revoked = new Map();
    this.nextAttempt = performance.now() + RETRY_AFTER.overflow;
  }
}
