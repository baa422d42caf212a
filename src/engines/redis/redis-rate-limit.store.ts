import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Clock } from '../../common/clock.js';
import type { Bucket, BucketUsage } from '../../rate-limit/rate-limit.policy.js';
import {
  MOST_LOOKED_AT,
  RateLimitStore,
  type ConsumeResult,
  type FullBucket,
  type FullBuckets,
} from '../../rate-limit/rate-limit.store.js';
import {
  CLEAR,
  CONFIRM,
  CONSUME,
  DELETE_UP_TO,
  KEPT_AFTER_WINDOW,
  READ,
  RECORD,
  RELEASE,
  TAKE_BACK,
} from './rate-limit-scripts.js';
import { RedisConnection } from './redis-connection.js';

/** How long a full bucket is retried while it is filled only by reservations, in milliseconds. */
const MAX_WAIT = 1_000;
const WAIT = 2;
/** Answers to SCAN in one call of `full`, since most keys may be others than buckets. */
const MOST_PAGES = 200;

interface Answer {
  readonly used: number;
  readonly oldest: number | null;
  readonly newest: number | null;
  readonly reserved: number;
}
type ToldWords = [recorded: number, now: string, ...AnswerWords[]];
type AnswerWords = [used: number, oldest: string, newest: string, reserved: number];

interface Tried {
  readonly recorded: boolean;
  /** On the clock that decided. */
  readonly at: number;
  readonly answers: Answer[];
}

/**
 * Rate-limit events in Redis, one sorted set `lk:r:{event}:{subject}` per bucket, which expires a minute after its
 * window. A decision about one bucket is one script; on a single server, so is one about several.
 *
 * On a cluster the buckets are on different nodes. There each is reserved in turn, in the order of their keys, and then
 * all are confirmed or all released. A caller that finds a bucket full of reservations retries until they are decided,
 * for at most a second, so that nobody is refused because of a count that was taken back; the order keeps two callers
 * from waiting for each other. A full bucket is noticed before anything is reserved, so a refusal usually writes
 * nothing. If a node fails in between, `STORE_UNAVAILABLE` is thrown, and the other buckets may have counted the event.
 */
@Injectable()
export class RedisRateLimitStore extends RateLimitStore {
  override readonly expiresByItself = true;

  constructor(
    private readonly redis: RedisConnection,
    private readonly clock: Clock,
  ) {
    super();
  }

  override async consume(buckets: readonly Bucket[], now: number): Promise<ConsumeResult> {
    if (this.redis.isCluster && buckets.length > 1) return this.consumeAcrossNodes(buckets, now);
    const { recorded, at, answers } = await this.tryAll(buckets, now, memberAt(now));
    return { recorded, ...this.recordedAt(buckets.map(() => at)), usage: answers.map(toUsage) };
  }

  override async read(bucket: Bucket, now: number): Promise<BucketUsage> {
    const { used, oldest, newest } = await this.ask(bucket, now);
    return { used, oldest, newest };
  }

  override async record(bucket: Bucket, now: number): Promise<void> {
    await this.script(RECORD, bucket, [this.instant(now), memberAt(now), keptFor(bucket)]);
  }

  override async full(policies: readonly Omit<Bucket, 'subject'>[], now: number, limit: number): Promise<FullBuckets> {
    // A scan may name a key twice.
    const found = new Map<string, FullBucket>();
    let [looked, pages] = [0, 0];
    for await (const keys of this.redis.pagesOfKeys(this.keyOf({ event: '', subject: '' }).slice(0, -1))) {
      const asked = keys.flatMap((key) => this.bucketOf(key, policies) ?? []);
      const usages = await Promise.all(asked.map((bucket) => this.read(bucket, now)));
      asked.forEach((bucket, i) => {
        const { used, oldest } = usages[i]!;
        if (used >= bucket.limit && oldest !== null) found.set(this.keyOf(bucket), { ...bucket, oldest });
      });
      looked += asked.length;
      pages++;
      if (found.size >= limit || looked >= MOST_LOOKED_AT || pages >= MOST_PAGES) {
        return { buckets: [...found.values()].slice(0, limit), isComplete: false };
      }
    }
    return { buckets: [...found.values()], isComplete: true };
  }

  override async refund(bucket: Bucket, at: number): Promise<boolean> {
    return Number(await this.script(TAKE_BACK, bucket, [String(at)])) > 0;
  }

  override async clear(bucket: Pick<Bucket, 'event' | 'subject'>): Promise<number> {
    return Number(await this.script(CLEAR, bucket, []));
  }

  /** Reads every bucket. Not needed in operation, since Redis deletes expired ones by itself. */
  override async deleteOlderThan(instant: number, limit: number): Promise<number> {
    let deleted = 0;
    for await (const key of this.redis.keys(this.keyOf({ event: '', subject: '' }).slice(0, -1))) {
      if (deleted >= limit) break;
      const values = [String(instant), String(limit - deleted)];
      deleted += Number(await this.redis.script('rate limit', DELETE_UP_TO, [key], values));
    }
    return deleted;
  }

  private async consumeAcrossNodes(buckets: readonly Bucket[], now: number): Promise<ConsumeResult> {
    const answers = await Promise.all(buckets.map((bucket) => this.ask(bucket, now)));
    const isFull = ({ used, reserved }: Answer, i: number) => used >= buckets[i]!.limit && reserved === 0;
    if (answers.some(isFull)) return { recorded: false, usage: answers.map(toUsage) };

    const reservation = `?${memberAt(now)}`;
    const order = buckets
      .map((_, i) => i)
      .toSorted((a, b) => (this.keyOf(buckets[a]!) < this.keyOf(buckets[b]!) ? -1 : 1));
    const reserved: Bucket[] = [];
    const recordedAt: number[] = [];
    const deadline = performance.now() + MAX_WAIT;
    try {
      for (const i of order) {
        for (;;) {
          const { recorded, at, answers: one } = await this.tryAll([buckets[i]!], now, reservation);
          answers[i] = one[0]!;
          recordedAt[i] = at;
          if (recorded) break;
          if (answers[i].reserved === 0 || performance.now() > deadline) {
            await this.release(reserved, reservation);
            return { recorded: false, usage: answers.map(toUsage) };
          }
          await pause(WAIT * (0.5 + Math.random()));
        }
        reserved.push(buckets[i]!);
      }
    } catch (error) {
      await this.release(reserved, reservation).catch(() => {});
      throw error;
    }
    await Promise.all(buckets.map((bucket) => this.script(CONFIRM, bucket, [reservation, memberAt(now)])));
    return { recorded: true, ...this.recordedAt(recordedAt), usage: answers.map(toUsage) };
  }

  private async release(buckets: readonly Bucket[], reservation: string): Promise<void> {
    await Promise.all(buckets.map((bucket) => this.script(RELEASE, bucket, [reservation])));
  }

  private async tryAll(buckets: readonly Bucket[], now: number, member: string): Promise<Tried> {
    const values = buckets.flatMap((bucket) => [...counting(bucket), keptFor(bucket)]);
    const keys = buckets.map((bucket) => this.keyOf(bucket));
    const answer = await this.redis.script('rate limit', CONSUME, keys, [this.instant(now), member, ...values]);
    return this.told(answer as ToldWords);
  }

  private async ask(bucket: Bucket, now: number): Promise<Answer> {
    const answer = await this.script(READ, bucket, [this.instant(now), ...counting(bucket)]);
    return this.told(answer as ToldWords).answers[0]!;
  }

  /** Empty where Redis's clock decides, since several processes record and count. */
  private instant(now: number): string {
    return this.clock.isWallClock ? '' : String(now);
  }

  private recordedAt(recordedAt: readonly number[]): Pick<ConsumeResult, 'recordedAt'> {
    return this.clock.isWallClock ? { recordedAt } : {};
  }

  /** With the instants of the events as our clock would have shown them. */
  private told([recorded, now, ...answers]: ToldWords): Tried {
    const at = Number(now);
    const ahead = this.clock.isWallClock ? this.clock.now() - at : 0;
    const onOwnClock = (text: string) => (text === '' ? null : Number(text) + ahead);
    return {
      recorded: recorded === 1,
      at,
      answers: answers.map(([used, oldest, newest, reserved]) => ({
        used: Number(used),
        oldest: onOwnClock(oldest),
        newest: onOwnClock(newest),
        reserved: Number(reserved),
      })),
    };
  }

  private script(script: typeof READ, bucket: Pick<Bucket, 'event' | 'subject'>, values: string[]): Promise<unknown> {
    return this.redis.script('rate limit', script, [this.keyOf(bucket)], values);
  }

  private bucketOf(key: string, policies: readonly Omit<Bucket, 'subject'>[]): Bucket | null {
    const policy = policies.find(({ event }) => key.startsWith(this.keyOf({ event, subject: '' })));
    return policy ? { ...policy, subject: key.slice(this.keyOf({ ...policy, subject: '' }).length) } : null;
  }

  private keyOf({ event, subject }: Pick<Bucket, 'event' | 'subject'>): string {
    return `${this.redis.prefix}r:${event}:${subject}`;
  }
}

function counting({ window, limit }: Bucket): string[] {
  return [String(window), String(limit)];
}

function keptFor({ window }: Bucket): string {
  return String(window + KEPT_AFTER_WINDOW);
}

function memberAt(now: number): string {
  return `${now}:${randomBytes(9).toString('base64url')}`;
}

function toUsage({ used, oldest }: Answer): ConsumeResult['usage'][number] {
  return { used, oldest };
}
