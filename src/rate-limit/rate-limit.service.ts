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

/** What is limited, and for whom: a login name, an address, or `null` for a client whose address is not known. */
export interface RateLimitTarget {
  readonly event: RateLimitEvent;
  readonly subject: string | null;
}

/** A decision about one bucket, explained. */
export interface RateLimitDecision {
  readonly event: RateLimitEvent;
  /** As it is counted: normalised, and hashed where it would not fit its column. */
  readonly subject: string;
  readonly allowed: boolean;
  readonly limit: number;
  /** Length of the sliding window in milliseconds. */
  readonly window: number;
  /** How many more are allowed after this decision. */
  readonly remaining: number;
  /** When the next unit comes back: epoch milliseconds. From that exact instant on, one more is allowed. */
  readonly resetAt: number;
  /** Whole seconds to wait, rounded up; 0 where this bucket does not refuse. */
  readonly retryAfter: number;
  /**
   * `within_limit`; `limit_reached`, by the store or by what this process remembers of it; `refused_together`: there was
   * room, but another of the buckets refused; `store_unavailable`: allowed by `onStoreError: 'allow'`, counted nowhere.
   */
  readonly why: 'within_limit' | 'limit_reached' | 'refused_together' | 'store_unavailable';
  /** The instant under which `consume` recorded it, for `refund`. */
  readonly recordedAt: number | null;
}

/** Several decided together. */
export interface RateLimitResult {
  readonly allowed: boolean;
  /** The one to answer with: of those that refuse, the one that lasts longest; else the one with the least left. */
  readonly decisive: RateLimitDecision;
  /** In the order they were asked; only those that refuse, where that was known without asking the store. */
  readonly decisions: readonly RateLimitDecision[];
}

type Counted = ConsumeResult['usage'][number];

/** How long another process's `clear` may go unseen here. */
const REMEMBERED_FOR = seconds(1);
const MAX_EMITTED = 10_000;

/**
 * Rate limits over a sliding window, exact under concurrency across processes: whatever arrives at once, never more
 * than `limit` events in any window.
 *
 * This process remembers a refused subject until `resetAt`, for at most a second, and refuses it without a query
 * meanwhile. `clear` and `refund` here forget it at once; those of another process are seen within that second. The
 * memory holds `rateLimits.rememberedBlocks` subjects and no more.
 *
 * Subjects are normalised: `Ａlice@…` and `alice@…` are one, as are all addresses of an IPv6 /64. Those that are too
 * long for their column are hashed, never cut.
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

  /** Counts this event, or refuses it. Call it before the work that it limits. */
  async consume(event: RateLimitEvent, subject: string | null): Promise<RateLimitDecision> {
    const now = this.clock.now();
    const bucket = this.bucket(event, subject);
    const known = this.remembered(bucket, now);
    if (known) return known;
    const { forgotten } = this;
    try {
      const { recorded, usage } = await this.store.consume([bucket], now);
      if (!recorded) this.refused([bucket], usage, now, forgotten);
      return decide(bucket, usage[0]!, now, recorded);
    } catch (error) {
      return this.withoutStore(bucket, now, error);
    }
  }

  /** `consume` that throws `RATE_LIMITED` where it is refused. */
  async consumeOrThrow(event: RateLimitEvent, subject: string | null): Promise<RateLimitDecision> {
    const decision = await this.consume(event, subject);
    if (!decision.allowed) throw rateLimited(decision);
    return decision;
  }

  /** Decides about several in one round trip, such as account and address: all are counted, or none. */
  async consumeAll(targets: readonly RateLimitTarget[]): Promise<RateLimitResult> {
    if (targets.length === 0) throw new TypeError('consumeAll needs at least one event.');
    const now = this.clock.now();
    const buckets = distinct(targets.map((target) => this.bucket(target.event, target.subject)));
    const known = buckets.flatMap((bucket) => this.remembered(bucket, now) ?? []);
    if (known.length > 0) return verdict(known);

    const { forgotten } = this;
    try {
      const { recorded, usage } = await this.store.consume(buckets, now);
      const decisions = buckets.map((bucket, i) => decide(bucket, usage[i]!, now, recorded));
      if (!recorded) this.refused(buckets, usage, now, forgotten);
      return verdict(decisions);
    } catch (error) {
      return verdict(buckets.map((bucket) => this.withoutStore(bucket, now, error)));
    }
  }

  /** Whether one more would be allowed now, counting nothing. Between this and `record` others may come in. */
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

  /** Counts an event that has happened, even over the limit: a mail that went out, a factor that was wrong. */
  async record(event: RateLimitEvent, subject: string | null): Promise<void> {
    await this.store.record(this.bucket(event, subject), this.clock.now());
  }

  /**
   * Takes back what `consume` counted: a login that succeeded, where only failures are limited. Others stay counted, so
   * that nobody can reset a bucket with an account of their own. False if it is gone.
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
   * Empties the bucket of this account, once a success has proved that its attempts were those of the owner. Never use
   * it for an address.
   */
  async clear(event: RateLimitEvent, subject: string | null): Promise<void> {
    const bucket = this.bucket(event, subject);
    await this.store.clear(bucket);
    this.forget(bucket);
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

  /** A hammered subject must not flood the listeners. */
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

  /** A refusal that is on its way from the store while this happens is older than it: the count keeps it out. */
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

/** `recorded`: the store counted it, after the usage that it answered. */
function decide(bucket: Bucket, usage: Counted, now: number, recorded: boolean): RateLimitDecision {
  const { event, subject, limit, window } = bucket;
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
    recordedAt: recorded ? now : null,
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
