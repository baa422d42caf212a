import {
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { isAuthError, type AuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import type { AuthEvent } from '../events/auth-event.js';
import { AuthEvents } from '../events/auth-events.js';
import { AuditStore } from './audit.store.js';

/** Milliseconds that an event waits for others to be written with it. */
const GATHERING = 250;
const RETRY_AFTER = 2_000;
const BATCH = 500;

/**
 * Writes the events of `AuthEvents` to `auth_audit_events` if `audit.enabled` is on. This happens in the background: a
 * request never waits for it and never fails because of it. While the database is unavailable, up to `audit.queue`
 * events wait in memory. A shutdown writes what is waiting; a process that is killed loses the last quarter of a
 * second. If a connection breaks before a write is answered, its events may be written twice.
 *
 * When the queue is full, the newest events that anyone can cause without an account (a failed login, a refused token or key,
 * a reached limit, a mail) make room for the others: a flood never costs the record of what an owner or administrator did.
 */
@Injectable()
export class AuditLog implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new Logger('Auth');
  private waiting: AuthEvent[] = [];
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<boolean> | undefined;
  private failing = false;
  private lost = 0;

  constructor(
    private readonly store: AuditStore,
    private readonly events: AuthEvents,
    private readonly config: AuthConfig,
  ) {}

  onModuleInit(): void {
    if (this.config.audit.enabled) this.events.on((event) => this.add(event));
  }

  /** Events that were lost since this process started. */
  get dropped(): number {
    return this.lost;
  }

  /** Resolves when every event emitted so far has been written or given up. */
  async flush(): Promise<void> {
    while (this.waiting.length > 0 && (await this.write()));
    await this.writing;
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.flush();
  }

  /** Writes the events of the last requests, unless the DataSource is closed already; then they are lost. */
  async onApplicationShutdown(): Promise<void> {
    await this.flush();
    clearTimeout(this.timer);
    if (this.waiting.length > 0) this.drop(this.waiting.splice(0).length, 'the process was shut down');
  }

  private add(event: AuthEvent): void {
    this.waiting.push(event);
    this.trim();
    if (this.waiting.length >= BATCH && !this.failing) void this.write();
    else this.schedule(this.failing ? RETRY_AFTER : GATHERING);
  }

  private schedule(delay: number): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.write();
    }, delay).unref();
  }

  /** Writes one batch at a time. False if that failed. */
  private write(): Promise<boolean> {
    this.writing ??= this.writeBatch().finally(() => {
      this.writing = undefined;
      if (this.waiting.length > 0) this.schedule(this.failing ? RETRY_AFTER : GATHERING);
    });
    return this.writing;
  }

  private async writeBatch(): Promise<boolean> {
    const batch = this.waiting.splice(0, BATCH);
    try {
      if (!(await this.isTaken(batch))) await this.writeEach(batch);
      return true;
    } catch (error) {
      this.putBack(batch, error as AuthError);
      return false;
    }
  }

  /**
   * Writes events one by one, so that one value the database refuses does not cost the others. Written events leave the
   * batch.
   */
  private async writeEach(batch: AuthEvent[]): Promise<void> {
    while (batch.length > 0) {
      if (!(await this.isTaken(batch.slice(0, 1)))) this.drop(1, 'the database refused them');
      batch.shift();
    }
  }

  /** False if the database rejects the values, as it would again; throws if it is unavailable. */
  private async isTaken(events: readonly AuthEvent[]): Promise<boolean> {
    try {
      await this.store.insert(events);
    } catch (error) {
      if (isAuthError(error, 'STORE_UNAVAILABLE') || isAuthError(error, 'SCHEMA_MISSING')) throw error;
      return false;
    }
    if (this.failing)
      this.logger.log(`The audit table can be written again; ${this.lost} events have been lost so far.`);
    this.failing = false;
    return true;
  }

  private putBack(batch: AuthEvent[], { code }: AuthError): void {
    if (!this.failing) this.logger.error(`The audit table cannot be written (${code}): events wait in memory.`);
    this.failing = true;
    this.waiting.unshift(...batch);
    this.trim();
  }

  private trim(): void {
    const excess = this.waiting.length - this.config.audit.queue;
    // Without an anonymous one, -1 is the newest: what was there first stays.
    for (let i = 0; i < excess; i++) this.waiting.splice(this.waiting.findLastIndex(isAnonymous), 1);
    if (excess > 0) this.drop(excess, 'audit.queue is full');
  }

  /** Logged at the first event and whenever their number has grown tenfold, so that a flood does not flood the log. */
  private drop(count: number, why: string): void {
    const before = this.lost;
    this.lost += count;
    const isDue = before === 0 || Math.floor(Math.log10(before)) < Math.floor(Math.log10(this.lost));
    if (isDue) this.logger.warn(`${this.lost} audit events were dropped since the start: ${why}.`);
  }
}

const ANONYMOUS = new Set<AuthEvent['type']>([
  'login.failed',
  'token.refused',
  'api_key.refused',
  'rate_limit.reached',
  'mail.sent',
  'mail.failed',
  'breach_check.failed',
]);

/** Whether a client can cause it without an account. */
const isAnonymous = ({ type }: AuthEvent): boolean => ANONYMOUS.has(type);
