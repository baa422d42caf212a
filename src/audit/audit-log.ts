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

/** Milliseconds that an event waits for others to be written with. */
const GATHERING = 250;
const RETRY_AFTER = 2_000;
const BATCH = 500;

/**
 * Writes the events of `AuthEvents` to `auth_audit_events` if `audit.enabled` is on. It happens behind the request,
 * which never waits and never fails for it: while the database is unavailable, up to `audit.queue` events wait in
 * memory. What is waiting at a shutdown is written before the end; a process that is killed loses the last quarter of a
 * second. If a connection breaks before a write is answered, the write may be done twice.
 *
 * When the queue is full, the newest events that anybody can cause without an account (a failed login, a refused token, a
 * reached limit) make room for the others: a flood never costs the record of what an owner or an administrator did.
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

  /** Resolves when every event emitted so far is written or has been given up. */
  async flush(): Promise<void> {
    while (this.waiting.length > 0 && (await this.write()));
    await this.writing;
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.flush();
  }

  /** The events of the last requests. The DataSource may be closed already; then they are lost. */
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

  /** One batch, one at a time. False when it has failed. */
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

  /** One value that the database refuses must not take the others with it. What is done leaves the batch. */
  private async writeEach(batch: AuthEvent[]): Promise<void> {
    while (batch.length > 0) {
      if (!(await this.isTaken(batch.slice(0, 1)))) this.drop(1, 'the database refused them');
      batch.shift();
    }
  }

  /** False where the database refuses to hold what it is given, and so would again; throws where it is away. */
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
    for (let i = 0; i < excess; i++) this.waiting.splice(this.waiting.findLastIndex(isAnonymous), 1);
    if (excess > 0) this.drop(excess, 'audit.queue is full');
  }

  /** Logged at the first and at each tenfold, so that a flood is no flood in the log. */
  private drop(count: number, why: string): void {
    const before = this.lost;
    this.lost += count;
    const isDue = before === 0 || Math.floor(Math.log10(before)) < Math.floor(Math.log10(this.lost));
    if (isDue) this.logger.warn(`${this.lost} audit events were dropped since the start: ${why}.`);
  }
}

const ANONYMOUS = new Set<AuthEvent['type']>(['login.failed', 'token.refused', 'rate_limit.reached']);

/** Whether a client can cause it without an account. */
const isAnonymous = ({ type }: AuthEvent): boolean => ANONYMOUS.has(type);
