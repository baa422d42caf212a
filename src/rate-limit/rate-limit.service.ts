import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { SampledLogger } from '../common/sampled-logger.js';
import { AuthError, isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { seconds } from '../common/duration.js';
import { AuthConfig } from '../config/auth-config.js';
import type { RateLimitEvent } from '../config/rate-limit-settings.js';
import { AuthEvents } from '../events/auth-events.js';
import { bucketOf, resetAt, secondsUntil, type Bucket } from './rate-limit.policy.js';
import { RateLimitStore, type ConsumeResult } from './rate-limit.store.js';

/**
 * An event, and the subject it is counted for: a login name, an address, or `null` for a client whose address is
 * unknown.
 */
export interface RateLimitTarget {
  readonly event: RateLimitEvent;
  readonly subject: string | null;
}

/** A decision about one bucket, explained. */
export interface RateLimitDecision {
  readonly event: RateLimitEvent;
  /** The subject as it is counted: normalised, and hashed if it would not fit its column. */
  readonly subject: string;
  readonly allowed: boolean;
  readonly limit: number;
  /** Length of the sliding window in milliseconds. */
  readonly window: number;
  /** How many more are allowed after this decision. */
  readonly remaining: number;
  /** When the next slot frees up: epoch milliseconds. From that exact instant on, one more is allowed. */
  readonly resetAt: number;
  /** Whole seconds to wait, rounded up; 0 if this bucket does not refuse. */
  readonly retryAfter: number;
  /**
   * `within_limit`; `limit_reached`, according to the store or this process's memory; `refused_together`: there was
   * room, but another bucket refused; `store_unavailable`: allowed by `onStoreError: 'allow'`, not counted anywhere.
   */
  readonly why: 'within_limit' | 'limit_reached' | 'refused_together' | 'store_unavailable';
  /** The instant under which `consume` recorded it, on the storage's clock, for `refund`. */
  readonly recordedAt: number | null;
}

/** Several decisions made together. */
export interface RateLimitResult {
  readonly allowed: boolean;
  /** The one to answer with: the refusal that lasts longest or, if none refuses, the decision with the least left. */
  readonly decisive: RateLimitDecision;
  /** In the order asked. If memory already knew of refusals, only those. */
  readonly decisions: readonly RateLimitDecision[];
}

/** A subject that has used up a limit. */
export interface FullRateLimit {
  readonly event: string;
  /** As it is counted: normalised, and hashed if it would not fit its column. */
  readonly subject: string;
  /** When the next slot frees up: epoch milliseconds. */
  readonly resetAt: number;
}

/** Those that `listFull` has found. */
export interface FullRateLimits {
  readonly limits: readonly FullRateLimit[];
  /** Whether there are no others. */
  readonly isComplete: boolean;
}

type Counted = ConsumeResult['usage'][number];

/** How long this process may not notice another process's `clear`. */
const REMEMBERED_FOR = seconds(1);
const MAX_EMITTED = 10_000;

/**
 * Rate limits over a sliding window, exact under concurrency across processes: however many events arrive at once, no
 * more than `limit` are allowed in any window. Instants and windows are in milliseconds.
 *
 * This process remembers a refused subject until `resetAt`, for at most a second, and refuses it without a query
 * meanwhile. `clear` and `refund` here take effect at once; those of another process within that second. The memory
 * holds at most `rateLimits.rememberedBlocks` subjects.
 *
 * Subjects are normalised: `Ａlice@…` and `alice@…` are one, as are all addresses of an IPv6 /64. Those too long for
 * their column are hashed, never cut. `null` stands for every client whose address is unknown; they share ten times the
 * limit.
 *
 * Within an `AuthTransaction` every count stays, even after a rollback. While the storage does not answer,
 * `onStoreError` decides: `deny` (default) throws `STORE_UNAVAILABLE`, `allow` lets `consume`, `consumeAll` and `check`
 * through.
 *
 * @example
 * ```ts
 * await limits.consumeOrThrow('email_send', user.email); // 429 once the limit is reached
 * outbox.post({ kind: 'no_password', to: user.email, facts: {} });
 *
 * const { allowed, decisive } = await limits.consumeAll([
 *   { event: '2fa_attempt', subject: user.email },
 *   { event: 'login_ip', subject: ip },
 * ]);
 * if (!allowed) console.log(`Retry in ${decisive.retryAfter} s.`);
 * ```
 */
@Injectable()
export class RateLimitService {
  private readonly logger = new SampledLogger();
  private readonly blocked: LRUCache<string, { usage: Counted; until: number }> | null;
  /** Buckets for which `rate_limit.reached` was emitted, and until when. */
  private readonly emitted = new LRUCache<string, number>({ max: MAX_EMITTED });
  private forgotten = 0;

  constructor(
    private readonly store: RateLimitStore,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
    private readonly events: AuthEvents,
  ) {
    const { rememberedBlocks } = config.rateLimits;
    this.blocked = rememberedBlocks === 0 ? null : new LRUCache({ max: rememberedBlocks });
  }

  /**
   * Counts this event, or refuses it. Call it before the work that it limits.
   *
   * @throws {TypeError} if no policy has this event, or `subject` is neither a string nor `null`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer and `onStoreError` is `deny`.
   */
  async consume(event: RateLimitEvent, subject: string | null): Promise<RateLimitDecision> {
    const now = this.clock.now();
    const bucket = this.bucket(event, subject);
    const known = this.remembered(bucket, now);
    if (known) return known;
    const { forgotten } = this;
    try {
      const { recorded, usage, recordedAt } = await this.store.consume([bucket], now);
      if (!recorded) this.refused([bucket], usage, now, forgotten);
      return decide(bucket, usage[0]!, now, recorded && (recordedAt?.[0] ?? now));
    } catch (error) {
      return this.withoutStore(bucket, now, error);
    }
  }

  /**
   * As `consume`, but throws where that refuses.
   *
   * @throws {AuthError} `RATE_LIMITED`: 429 with the true `Retry-After`; `facts.retryAfter` is in whole seconds.
   * @throws {TypeError} if no policy has this event, or `subject` is neither a string nor `null`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer and `onStoreError` is `deny`.
   */
  async consumeOrThrow(event: RateLimitEvent, subject: string | null): Promise<RateLimitDecision> {
    const decision = await this.consume(event, subject);
    if (!decision.allowed) throw rateLimited(decision);
    return decision;
  }

  /**
   * Decides about several events in one round trip, such as those of account and address: all are counted or none.
   *
   * @throws {TypeError} for an empty list, and for the targets that `consume` does not take.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer and `onStoreError` is `deny`.
   */
  async consumeAll(targets: readonly RateLimitTarget[]): Promise<RateLimitResult> {
    if (targets.length === 0) throw new TypeError('consumeAll needs at least one event.');
    const now = this.clock.now();
    const buckets = distinct(targets.map((target) => this.bucket(target.event, target.subject)));
    const known = buckets.flatMap((bucket) => this.remembered(bucket, now) ?? []);
    if (known.length > 0) return verdict(known);

    const { forgotten } = this;
    try {
      const { recorded, usage, recordedAt } = await this.store.consume(buckets, now);
      const decisions = buckets.map((bucket, i) =>
        decide(bucket, usage[i]!, now, recorded && (recordedAt?.[i] ?? now)),
      );
      if (!recorded) this.refused(buckets, usage, now, forgotten);
      return verdict(decisions);
    } catch (error) {
      return verdict(buckets.map((bucket) => this.withoutStore(bucket, now, error)));
    }
  }

  /**
   * Whether one more event would be allowed now, without counting anything. Others may come in before you call
   * `record`.
   *
   * @throws {TypeError} if no policy has this event, or `subject` is neither a string nor `null`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer and `onStoreError` is `deny`.
   */
  async check(event: RateLimitEvent, subject: string | null): Promise<RateLimitDecision> {
    const now = this.clock.now();
    const bucket = this.bucket(event, subject);
    const known = this.remembered(bucket, now);
    if (known) return known;
    try {
      return decide(bucket, await this.store.read(bucket, now), now, false);
    } catch (error) {
      return this.withoutStore(bucket, now, error);
    }
  }

  /**
   * Counts an event that has happened, even over the limit: a mail that went out, a factor that was wrong.
   *
   * @throws {TypeError} if no policy has this event, or `subject` is neither a string nor `null`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async record(event: RateLimitEvent, subject: string | null): Promise<void> {
    await this.store.record(this.bucket(event, subject), this.clock.now());
  }

  /**
   * Takes back what `consume` counted: a login that succeeded, where only failures are limited. Other events stay
   * counted, so that nobody can reset a bucket with an account of their own. False if it is no longer there.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async refund(decision: RateLimitDecision): Promise<boolean> {
    const { event, subject, limit, window, recordedAt } = decision;
    if (recordedAt === null) return false;
    const bucket: Bucket = { event, subject, limit, window };
    const refunded = await this.store.refund(bucket, recordedAt);
    this.forget(bucket);
    return refunded;
  }

  /**
   * Empties the bucket of this account, once a success has proved that its attempts were the owner's. Never use it for
   * an address.
   *
   * @throws {TypeError} if no policy has this event, or `subject` is neither a string nor `null`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async clear(event: RateLimitEvent, subject: string | null): Promise<void> {
    const bucket = this.bucket(event, subject);
    await this.store.clear(bucket);
    this.forget(bucket);
  }

  /**
   * Who is refused now, and until when (epoch ms), in no particular order; at most `limit`. It looks at about 10,000
   * subjects and says whether there may be others (`isComplete`). A login that waits for the back-off is not among them.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async listFull({ limit = 100 } = {}): Promise<FullRateLimits> {
    const now = this.clock.now();
    const policies = Object.entries(this.config.rateLimits.policies).map(([event, policy]) => ({ event, ...policy }));
    const { buckets, isComplete } = await this.store.full(policies, now, limit);
    const limits = buckets.map((bucket) => ({
      event: bucket.event,
      subject: bucket.subject,
      resetAt: resetAt(bucket, bucket, now),
    }));
    return { limits, isComplete };
  }

  private bucket(event: string, subject: string | null): Bucket {
    const { policies } = this.config.rateLimits;
    const policy = policies[event];
    if (policy) return bucketOf(event, policy, subject);
    const known = Object.keys(policies).join(', ');
    throw new TypeError(
      `There is no rate limit '${event}'; known events: ${known}. Add yours to RateLimitEvents and rateLimits.policies.`,
    );
  }

  private remembered(bucket: Bucket, now: number): RateLimitDecision | null {
    const found = this.blocked?.get(keyOf(bucket));
    return found && now < found.until ? decide(bucket, found.usage, now, false) : null;
  }

  private refused(buckets: readonly Bucket[], usage: ConsumeResult['usage'], now: number, forgotten: number): void {
    if (forgotten === this.forgotten) this.remember(buckets, usage, now);
    buckets.forEach((bucket, i) => {
      if (usage[i]!.used >= bucket.limit) this.emitReached(bucket, resetAt(bucket, usage[i]!, now), now);
    });
  }

  /** Once per refusal: a hammered subject must not flood the listeners. */
  private emitReached(bucket: Bucket, until: number, now: number): void {
    if ((this.emitted.get(keyOf(bucket)) ?? 0) > now) return;
    this.emitted.set(keyOf(bucket), until);
    const { event, subject } = bucket;
    this.events.emit({ type: 'rate_limit.reached', at: now, event, subject, until });
  }

  private remember(buckets: readonly Bucket[], usage: ConsumeResult['usage'], now: number): void {
    buckets.forEach((bucket, i) => {
      if (usage[i]!.used < bucket.limit) return;
      const until = Math.min(resetAt(bucket, usage[i]!, now), now + REMEMBERED_FOR);
      this.blocked?.set(keyOf(bucket), { usage: usage[i]!, until });
    });
  }

  /** A refusal already on its way from the store is older than this; the counter keeps it out of the memory. */
  private forget(bucket: Bucket): void {
    this.forgotten++;
    this.emitted.delete(keyOf(bucket));
    this.blocked?.delete(keyOf(bucket));
  }

  private withoutStore({ event, subject, limit, window }: Bucket, now: number, error: unknown): RateLimitDecision {
    if (this.config.rateLimits.onStoreError === 'deny' || !isAuthError(error, 'STORE_UNAVAILABLE')) throw error;
    const cause = error.cause instanceof Error ? error.cause.message : 'unknown';
    this.logger.error(`${event} is not limited: the database did not answer (cause: ${cause}).`);
    const allowed = { event: event as RateLimitEvent, subject, allowed: true, limit, window, remaining: limit };
    return { ...allowed, resetAt: now + window, retryAfter: 0, why: 'store_unavailable', recordedAt: null };
  }
}

/** `recordedAt`: false unless the store counted it; `usage` is what was there before. */
function decide(bucket: Bucket, usage: Counted, now: number, recordedAt: number | false): RateLimitDecision {
  const { event, subject, limit, window } = bucket;
  const recorded = recordedAt !== false;
  const full = usage.used >= limit && !recorded;
  const reset = resetAt(bucket, usage, now);
  return {
    event: event as RateLimitEvent,
    subject,
    allowed: !full,
    limit,
    window,
    remaining: limit - usage.used - (recorded ? 1 : 0),
    resetAt: reset,
    retryAfter: full ? secondsUntil(reset, now) : 0,
    why: full ? 'limit_reached' : 'within_limit',
    recordedAt: recorded ? recordedAt : null,
  };
}

function verdict(decisions: readonly RateLimitDecision[]): RateLimitResult {
  const allowed = decisions.every((decision) => decision.allowed);
  if (!allowed) {
    decisions = decisions.map((decision) =>
      decision.allowed ? { ...decision, allowed: false, why: 'refused_together' } : decision,
    );
  }
  const decisive = decisions.reduce((chosen, decision) => {
    if (!allowed) return decision.retryAfter > chosen.retryAfter ? decision : chosen;
    return decision.remaining < chosen.remaining ? decision : chosen;
  });
  return { allowed, decisive, decisions };
}

const keyOf = ({ event, subject }: Pick<Bucket, 'event' | 'subject'>): string => `${event}\n${subject}`;

/** The same bucket twice is one decision. */
function distinct(buckets: readonly Bucket[]): Bucket[] {
  return [...new Map(buckets.map((bucket) => [keyOf(bucket), bucket])).values()];
}

/** The error of a refusal: 429 with the true `Retry-After` over HTTP. */
export function rateLimited({
  event,
  limit,
  retryAfter,
}: {
  event: string;
  limit: number;
  retryAfter: number;
}): AuthError {
  const message = `The limit of ${event} is reached (${limit}). Retry in ${retryAfter} s.`;
  return new AuthError('RATE_LIMITED', message, { event, retryAfter, limit });
}
