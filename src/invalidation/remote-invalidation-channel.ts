import { randomUUID } from 'node:crypto';
import { Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Duration } from '../common/duration.js';
import { checkedInvalidation, EVERYTHING, formatHint, hintOf, parseHint, type Invalidation } from './invalidation.js';
import { InvalidationChannel } from './invalidation-channel.js';

/** A connection to the source of the messages. */
export interface Subscription {
  /**
   * Sends this text on the path that changes take; it comes back by `pong`, after everything that was published before
   * it.
   */
  ping(nonce: string): Promise<unknown>;
  /** Closes at once, even if the other side is gone. Nothing is called back afterwards. */
  close(): void;
}

/** The callbacks of a subscription. */
export interface SubscriptionEvents {
  readonly message: (payload: string) => void;
  readonly pong: (nonce: string) => void;
  readonly lost: (error: Error) => void;
}

const PINGS_PER_BOUND = 4;
const FIRST_DELAY = 100;
const MAX_DELAY = 5_000;

/**
 * The common part of every channel between processes: it knows whether it receives everything.
 *
 * `PINGS_PER_BOUND` times in `maxStaleness`, a ping is sent over the connections that changes are made on. Messages
 * arrive in the order in which they were committed, so a ping that came back proves that everything from before it was
 * sent has arrived. `isCurrent` means that the last such ping was sent less than `maxStaleness` ago: no silent cut,
 * frozen server, pooler that swallows messages or listener on another server can make a process trust its memory for
 * longer.
 */
export abstract class RemoteInvalidationChannel
  extends InvalidationChannel
  implements OnModuleInit, OnApplicationShutdown
{
  protected readonly connectTimeout: Duration = 5_000;
  private readonly logger = new Logger('Auth');
  private subscription: Subscription | undefined;
  private attempt: AbortController | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** The ping that has not come back yet. */
  private ping: { nonce: string; sentAt: number } | undefined;
  private heardUntil = Number.NEGATIVE_INFINITY;
  private failures = 0;
  private warnedOfGarbage = false;
  private closed = false;
  private onFirstOutcome: () => void = () => {};

  /** @param remedy what to look at when it cannot listen, for the log */
  protected constructor(
    private readonly maxStaleness: Duration,
    private readonly remedy: string,
  ) {
    super();
  }

  /** Resolves once everything published from now on arrives at `events`. Releases everything when it is aborted. */
  protected abstract connect(events: SubscriptionEvents, signal: AbortSignal): Promise<Subscription>;

  /**
   * Sends the text on the channel that all processes listen on, as part of the open `AuthTransaction` if there can be
   * one. Calls `sent` once nothing can take it back: inside a transaction, at its commit.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if it could not be sent.
   */
  protected abstract send(message: string, sent: () => void): Promise<void>;

  override async publish(invalidation: Invalidation): Promise<void> {
    const checked = checkedInvalidation(invalidation);
    if (checked === null) return;
    const hint = hintOf(checked, (kind, id) => this.digest(kind, id));
    await this.send(formatHint(hint), () => this.deliver(checked));
  }

  /** On the monotonic clock, which is not affected by corrections of the time. */
  override get isCurrent(): boolean {
    return performance.now() - this.heardUntil < this.maxStaleness;
  }

  /** Waits until it listens or has failed once; a database that is down now is tried again later. */
  async onModuleInit(): Promise<void> {
    const outcome = new Promise<void>((resolve) => (this.onFirstOutcome = resolve));
    void this.open();
    await outcome;
  }

  onApplicationShutdown(): void {
    this.closed = true;
    this.drop();
    this.onFirstOutcome();
  }

  private async open(): Promise<void> {
    // A late callback of a closed connection says nothing about its successor.
    let ended = false;
    const lost = (error: Error) => {
      if (ended) return;
      ended = true;
      this.lost(error);
    };
    const attempt = new AbortController();
    this.attempt = attempt;
    this.timer = setTimeout(() => {
      lost(new Error(`no connection within ${this.connectTimeout} ms`));
    }, this.connectTimeout).unref();
    try {
      const subscription = await this.connect(
        {
          message: (payload) => ended || this.receive(payload),
          pong: (nonce) => ended || this.hear(nonce),
          lost,
        },
        attempt.signal,
      );
      if (this.closed || ended) return subscription.close();
      clearTimeout(this.timer);
      this.subscription = subscription;
      this.beat(lost);
    } catch (error) {
      lost(error as Error);
    }
  }

  private beat(lost: (error: Error) => void): void {
    const now = performance.now();
    const isNew = this.heardUntil === Number.NEGATIVE_INFINITY;
    // Twice the bound: a process that was busy for long has yet to read what arrived meanwhile.
    const patience = isNew ? this.maxStaleness : 2 * this.maxStaleness;
    if (this.ping && now - this.ping.sentAt > patience) return lost(new Error('no message came back'));
    if (!this.ping) {
      const ping = (this.ping = { nonce: randomUUID(), sentAt: now });
      // A ping that could not be sent says nothing about the listening connection: the next one tries again.
      this.subscription?.ping(ping.nonce).catch(() => {
        if (this.ping === ping) this.ping = undefined;
      });
    }
    this.timer = setTimeout(() => this.beat(lost), this.maxStaleness / PINGS_PER_BOUND).unref();
  }

  private hear(nonce: string): void {
    if (nonce !== this.ping?.nonce) return;
    const isFirst = this.heardUntil === Number.NEGATIVE_INFINITY;
    if (isFirst) this.tell(EVERYTHING);
    this.heardUntil = this.ping.sentAt;
    this.ping = undefined;
    if (!isFirst) return;
    if (this.failures > 0) this.logger.log('Revocations are received again: the cache is used again, starting empty.');
    this.failures = 0;
    this.onFirstOutcome();
  }

  private receive(payload: string): void {
    const hint = parseHint(payload);
    if (hint) return this.tell(hint);
    if (!this.warnedOfGarbage) {
      this.logger.warn(`Not an invalidation (${payload.length} characters): the cache is emptied. Logged once.`);
    }
    this.warnedOfGarbage = true;
    this.tell(EVERYTHING);
  }

  private lost(error: Error): void {
    this.drop();
    if (this.closed) return;
    if (this.failures++ === 0) {
      this.logger.warn(
        `Revocations are not received (${error.message}): every request reads the database until they are. ${this.remedy}`,
      );
    }
    this.onFirstOutcome();
    const delay = Math.min(FIRST_DELAY * 2 ** Math.min(this.failures - 1, 10), MAX_DELAY);
    // Jitter, so that not every process reconnects to a restarted database at the same moment.
    this.timer = setTimeout(() => void this.open(), delay * (0.5 + Math.random() / 2)).unref();
  }

  private drop(): void {
    clearTimeout(this.timer);
    this.heardUntil = Number.NEGATIVE_INFINITY;
    this.ping = undefined;
    this.attempt?.abort();
    this.subscription?.close();
    this.subscription = undefined;
  }
}
