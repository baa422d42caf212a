import { setTimeout as wait } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { AuthError, type AuthErrorCode } from '../auth.errors.js';
import { ApiKeyStore } from '../api-key/api-key.store.js';
import { AuditStore } from '../audit/audit.store.js';
import { Clock } from '../common/clock.js';
import { days } from '../common/duration.js';
import { AuthConfig } from '../config/auth-config.js';
import { EphemeralTokenStore } from '../ephemeral-token/ephemeral-token.store.js';
import { JwtSessionStore } from '../jwt-session/jwt-session.store.js';
import { RevokedTokenStore } from '../revocation/revoked-token.store.js';
import { longestWindow } from '../rate-limit/rate-limit.policy.js';
import { RateLimitStore } from '../rate-limit/rate-limit.store.js';
import { SessionStore } from '../session/session.store.js';
import { BatchSize } from './batch-size.js';
import { CleanupLock } from './cleanup-lock.js';

/** The number of rows deleted by a run, by kind. */
export interface CleanupCounts {
  sessions: number;
  ephemeralTokens: number;
  revokedTokens: number;
  /** With `jwt.registry`: what was listed about JWTs that have expired. */
  jwtSessions: number;
  /** Keys that expired or were revoked 30 days ago. */
  apiKeys: number;
  rateLimitEvents: number;
  auditEvents: number;
}

export interface CleanupReport extends Readonly<CleanupCounts> {
  readonly tookMs: number;
  /**
   * Whether it left the rest to another process that was cleaning at the same time or, at a shutdown, to the next run.
   */
  readonly yielded: boolean;
}

/** For health checks. Instants are epoch ms. */
export interface CleanupState {
  readonly lastRunAt: number | null;
  /** End of the last run without a fault, including one that left the work to another process. */
  readonly lastSuccessAt: number | null;
  /** Why the last run failed; `null` if it did not. */
  readonly lastError: AuthErrorCode | 'UNKNOWN' | null;
  /** Milliseconds by which the next success is overdue; 0 if it is not, and always with `cleanup.enabled` off. */
  readonly lag: number;
}

/** `null` if its rows stay, so that they are not counted. */
type Kind = readonly [name: keyof CleanupCounts | null, deleteDue: (instant: number, limit: number) => Promise<number>];

const JITTER = 0.1;
const EXPIRING_KINDS = new Set<Kind[0]>([
  null,
  'sessions',
  'ephemeralTokens',
  'revokedTokens',
  'jwtSessions',
  'apiKeys',
]);
/** For so long the owner of a key can be told what became of it. */
const API_KEYS_KEPT = days(30);

/**
 * Deletes expired rows: sessions, single-use tokens, revoked JWTs, rate-limit events past every window, audit rows past
 * their retention. Live rows are never deleted, and nothing waits longer than one batch takes (`cleanup.maxLockTime`).
 * It deletes small batches, the oldest rows first, skips locked rows, so that it takes part in no deadlock, and rests
 * after each batch for as long as the batch took.
 *
 * With `cleanup.enabled` every process tries once per `cleanup.interval`, and one at a time does the work. A failure
 * never stops the process: the next run tries again, and `state` reports it.
 *
 * @example
 * ```ts
 * const { sessions, tookMs } = await cleanup.runOnce(); // from a cron job, with cleanup: { enabled: false }
 * console.log(`${sessions} sessions deleted in ${tookMs} ms`);
 * ```
 */
@Injectable()
export class CleanupService implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger('Auth');
  private readonly kinds: readonly Kind[];
  private readonly stopping = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<CleanupReport> | undefined;
  private startedAt: number | null = null;
  private last: Omit<CleanupState, 'lag'> = { lastRunAt: null, lastSuccessAt: null, lastError: null };

  constructor(
    private readonly lock: CleanupLock,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
    sessions: SessionStore,
    tokens: EphemeralTokenStore,
    revoked: RevokedTokenStore,
    jwts: JwtSessionStore,
    limits: RateLimitStore,
    audit: AuditStore,
    apiKeys: ApiKeyStore,
  ) {
    const window = longestWindow(config.rateLimits);
    const { rotationGrace } = config.session;
    const kinds: Kind[] = [
      [null, (instant, limit) => sessions.deleteSuccessors(instant - rotationGrace, limit)],
      ['sessions', (instant, limit) => sessions.deleteExpired(instant, limit)],
      ['revokedTokens', (instant, limit) => revoked.deleteExpired(instant, limit)],
      ['jwtSessions', (instant, limit) => jwts.deleteExpired(instant, limit)],
      ['apiKeys', (instant, limit) => apiKeys.deleteOver(instant - API_KEYS_KEPT, limit)],
      ['auditEvents', (instant, limit) => audit.deleteOlderThan(instant - config.audit.retention, limit)],
    ];
    if (!tokens.expiresByItself) {
      kinds.push(['ephemeralTokens', (instant, limit) => tokens.deleteExpired(instant, limit)]);
    }
    if (!limits.expiresByItself) {
      kinds.push(['rateLimitEvents', (instant, limit) => limits.deleteOlderThan(instant - window, limit)]);
    }
    this.kinds = kinds;
  }

  onApplicationBootstrap(): void {
    if (!this.config.cleanup.enabled) return;
    this.startedAt = this.clock.now();
    // Soon, and at different moments in processes that start together.
    this.schedule(this.config.cleanup.interval * JITTER * Math.random());
  }

  /** Stops after the current batch. */
  async onModuleDestroy(): Promise<void> {
    this.stopping.abort();
    clearTimeout(this.timer);
    await this.running?.catch(() => undefined);
  }

  /** How the last run went and whether the next is overdue, in this process; for health checks. No query. */
  get state(): CleanupState {
    const { interval } = this.config.cleanup;
    const since = this.last.lastSuccessAt ?? this.startedAt;
    const due = (since ?? 0) + interval * (1 + JITTER);
    return { ...this.last, lag: this.startedAt === null ? 0 : Math.max(0, this.clock.now() - due) };
  }

  /**
   * Deletes everything that is due now, for a cron job or a command; a call during a run waits for that run. With
   * `skipRetention` it deletes only rows that carry their own expiry (sessions and tokens), not those whose retention
   * is configured. Do not call it inside an `AuthTransaction`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` or `SCHEMA_MISSING`: the first fault. The other kinds of rows are cleaned
   *   all the same before it is thrown.
   */
  runOnce({ skipRetention = false }: { skipRetention?: boolean } = {}): Promise<CleanupReport> {
    const kinds = skipRetention ? this.kinds.filter(([name]) => EXPIRING_KINDS.has(name)) : this.kinds;
    this.running ??= this.run(kinds).finally(() => (this.running = undefined));
    return this.running;
  }

  private schedule(delay: number): void {
    this.timer = setTimeout(() => void this.runScheduled(), delay).unref();
  }

  private async runScheduled(): Promise<void> {
    // Its failure is logged and kept in `state`.
    await this.runOnce().catch(() => undefined);
    const { interval } = this.config.cleanup;
    if (!this.stopping.signal.aborted) this.schedule(interval * (1 - JITTER + 2 * JITTER * Math.random()));
  }

  private async run(kinds: readonly Kind[]): Promise<CleanupReport> {
    const began = performance.now();
    this.last = { ...this.last, lastRunAt: this.clock.now() };
    const instant = this.clock.now() - this.config.cleanup.leeway;
    const counts: CleanupCounts = {
      sessions: 0,
      ephemeralTokens: 0,
      revokedTokens: 0,
      jwtSessions: 0,
      apiKeys: 0,
      rateLimitEvents: 0,
      auditEvents: 0,
    };
    let failure: { error: unknown } | null = null;
    let yielded = false;
    for (const kind of kinds) {
      try {
        yielded = !(await this.clean(kind, instant, counts));
      } catch (error) {
        failure ??= { error };
      }
      if (yielded) break;
    }
    this.settle(failure);
    if (failure) throw failure.error;
    return { ...counts, tookMs: performance.now() - began, yielded };
  }

  /** False when it stopped before it was done. */
  private async clean([name, deleteDue]: Kind, instant: number, counts: CleanupCounts): Promise<boolean> {
    const { batch, maxLockTime } = this.config.cleanup;
    const size = new BatchSize(batch, maxLockTime);
    while (!this.stopping.signal.aborted) {
      const limit = size.next;
      let began = 0;
      const deleted = await this.lock.tryRun(() => {
        began = performance.now();
        return deleteDue(instant, limit);
      });
      // Measured until after the commit, since the rows were locked that long.
      const took = performance.now() - began;
      if (deleted === null) return false;
      if (name) counts[name] += deleted;
      if (deleted < limit) return true;
      size.took(took);
      await wait(took, undefined, { signal: this.stopping.signal }).catch(() => undefined);
    }
    return false;
  }

  /** One line in the log at the start of an outage and one at its end. */
  private settle(failure: { error: unknown } | null): void {
    const { lastError } = this.last;
    if (!failure) {
      this.last = { ...this.last, lastSuccessAt: this.clock.now(), lastError: null };
      if (lastError !== null) this.logger.log('The cleanup has recovered.');
      return;
    }
    const { error } = failure;
    const code = error instanceof AuthError ? error.code : 'UNKNOWN';
    this.last = { ...this.last, lastError: code };
    if (lastError === null) {
      const message = error instanceof Error ? error.message : String(error);
      this.logger.error(`The cleanup failed and will be retried with the next run: ${code}: ${message}`);
    }
  }
}
