import { Injectable } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { CleanupService } from '../cleanup/cleanup.service.js';
import { Clock } from '../common/clock.js';
import { hours, seconds, type Duration } from '../common/duration.js';
import { AuthConfig } from '../config/auth-config.js';
import { fromEpochSeconds } from '../postgres/epoch-seconds.js';
import { PreparedStatements } from '../postgres/prepared-statements.js';
import type { Statement } from '../postgres/statement.js';
import { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import { SessionStore } from '../session/session.store.js';

export interface AuthHealthOptions {
  /** How long the stores may take before the state is `down`. Default 3 s. */
  timeout?: Duration;
  /**
   * The state is `down` once this process's clock differs from the database's by this much. Default 30 s: an instance
   * that differs by more ends sessions and tokens at the wrong time. `Infinity` disables the check.
   */
  maxClockSkew?: Duration;
}

/** Safe to show to anyone: no address, no error message, nothing secret. */
export interface AuthHealth {
  readonly status: 'up' | 'down';
  /** Parts that do not work as they should. Alone they do not make the state `down`. */
  readonly degraded: readonly ('listener' | 'cleanup' | 'clock')[];
  /** Why it is `down`: `TIMEOUT`, `CLOCK_SKEW`, or the code of an `AuthError` such as `STORE_UNAVAILABLE`. */
  readonly reason?: string;
  /** Milliseconds until the stores had answered; `null` when they have not. */
  readonly roundTrip: number | null;
  /** Milliseconds by which this process's clock is ahead of the database's, give or take half a round trip. */
  readonly clockSkew: number | null;
  /**
   * `off`: there is no cache. `disconnected`: revocations are not heard, so nothing is answered from memory for now.
   */
  readonly listener: 'off' | 'current' | 'disconnected';
  /**
   * `off` if this process deletes no expired rows. Otherwise milliseconds since the last success, and by which the next
   * run is overdue.
   */
  readonly cleanup: 'off' | { readonly failing: boolean; readonly lastSuccess: number | null; readonly lag: number };
}

const TIME: Statement = {
  name: 'latchkey_health',
  text: "SELECT pg_catalog.date_part('epoch'::text, pg_catalog.clock_timestamp()) AS now",
};
/** A larger difference between the clocks is reported as degraded. */
const NOTICEABLE_SKEW = seconds(1);
const GIVEN_UP_AFTER = seconds(30);
/** A run that is overdue by more than this is reported as degraded. */
const NOTICEABLE_LAG = hours(1);

interface Probe {
  readonly roundTrip: number;
  readonly clockSkew: number;
}

/**
 * A health check for `@nestjs/terminus`, which this module does not depend on, or for a route of your own: the result
 * has the shape of `HealthIndicatorResult`.
 *
 * - `down`: sessions cannot be read or the clock is wrong, so this process should get no requests.
 * - `up` with something `degraded`: every answer is still right. A disconnected listener costs speed only (everything
 *   is read from the database meanwhile), a failing cleanup costs space.
 *
 * @example
 * ```ts
 * @Public()
 * @Controller('health')
 * export class HealthController {
 *   constructor(
 *     private readonly health: HealthCheckService,
 *     private readonly auth: AuthHealthIndicator,
 *   ) {}
 *
 *   @Get()
 *   check() {
 *     return this.health.check([() => this.auth.check()]);
 *   }
 * }
 * ```
 */
@Injectable()
export class AuthHealthIndicator {
  private probing: { readonly startedAt: number; readonly answer: Promise<Probe> } | undefined;

  constructor(
    private readonly statements: PreparedStatements,
    private readonly sessions: SessionStore,
    private readonly channel: InvalidationChannel,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
    private readonly cleanup: CleanupService,
  ) {}

  /**
   * The state, under `key`. Never throws, and answers within `timeout` (milliseconds). However many callers there are
   * at once, the stores are asked once.
   */
  async check<Key extends string = 'auth'>(
    key: Key = 'auth' as Key,
    { timeout = seconds(3), maxClockSkew = seconds(30) }: AuthHealthOptions = {},
  ): Promise<Record<Key, AuthHealth>> {
    const facts = { listener: this.listener(), cleanup: this.cleanupFacts() };
    const degraded: AuthHealth['degraded'][number][] = [];
    if (facts.listener === 'disconnected') degraded.push('listener');
    if (facts.cleanup !== 'off' && (facts.cleanup.failing || facts.cleanup.lag > NOTICEABLE_LAG)) {
      degraded.push('cleanup');
    }
    const answer = (status: 'up' | 'down', rest: Partial<AuthHealth>) =>
      ({ [key]: { status, degraded, roundTrip: null, clockSkew: null, ...facts, ...rest } }) as Record<Key, AuthHealth>;
    try {
      const { roundTrip, clockSkew } = await within(timeout, this.probe());
      const times = { roundTrip: round(roundTrip), clockSkew: Math.round(clockSkew) };
      // Half the round trip may be network delay rather than skew.
      const certain = Math.abs(clockSkew) - roundTrip / 2;
      if (certain > NOTICEABLE_SKEW) degraded.push('clock');
      return certain > maxClockSkew ? answer('down', { reason: 'CLOCK_SKEW', ...times }) : answer('up', times);
    } catch (error) {
      return answer('down', { reason: reasonOf(error) });
    }
  }

  /** One at a time, so that health checks do not use up the connections of a database that does not answer. */
  private probe(): Promise<Probe> {
    const startedAt = performance.now();
    // A connection that broke silently never answers, even when the database is back.
    if (this.probing && startedAt - this.probing.startedAt < GIVEN_UP_AFTER) return this.probing.answer;
    const answer = this.ask().finally(() => {
      if (this.probing === probing) this.probing = undefined;
    });
    const probing = { startedAt, answer };
    this.probing = probing;
    return answer;
  }

  private async ask(): Promise<Probe> {
    const startedAt = performance.now();
    const before = this.clock.now();
    const { rows } = await this.statements.runAlone<{ now: number }>(TIME, []);
    const clockSkew = (before + this.clock.now()) / 2 - fromEpochSeconds(rows[0]!.now);
    // No session has this id; what matters is that the session store answers.
    await this.sessions.find('');
    return { roundTrip: performance.now() - startedAt, clockSkew };
  }

  private listener(): AuthHealth['listener'] {
    if (!this.config.cache.enabled) return 'off';
    return this.channel.isCurrent ? 'current' : 'disconnected';
  }

  private cleanupFacts(): AuthHealth['cleanup'] {
    const { lastRunAt, lastSuccessAt, lastError, lag } = this.cleanup.state;
    if (!this.config.cleanup.enabled && lastRunAt === null) return 'off';
    const lastSuccess = lastSuccessAt === null ? null : Math.round(this.clock.now() - lastSuccessAt);
    return { failing: lastError !== null, lastSuccess, lag };
  }
}

const round = (milliseconds: number): number => Math.round(milliseconds * 100) / 100;

async function within<T>(timeout: Duration, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Late()), timeout);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

class Late extends Error {}

function reasonOf(error: unknown): string {
  if (error instanceof Late) return 'TIMEOUT';
  return error instanceof AuthError ? error.code : 'STORE_UNAVAILABLE';
}
