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
  /** How long the stores may take; after that the state is `down`. Default 3 s. */
  timeout?: Duration;
  /**
   * From this difference between this process's clock and the database's on the state is `down`. Default 30 s, the length
   * of `session.rotationGrace`: instances that differ by more take tabs for thieves, and sessions end at the wrong time.
   * `Infinity`: never, where you cannot help it.
   */
  maxClockSkew?: Duration;
}

/** Safe to show to anybody: no address, no error message, nothing secret. */
export interface AuthHealth {
  readonly status: 'up' | 'down';
  /** What works less well than it should while the state is `up`, or adds to why it is `down`. */
  readonly degraded: readonly ('listener' | 'cleanup' | 'clock')[];
  /** Why it is `down`: `TIMEOUT`, `CLOCK_SKEW`, or the code of an `AuthError` such as `STORE_UNAVAILABLE`. */
  readonly reason?: string;
  /** Milliseconds until the stores had answered; `null` when they have not. */
  readonly roundTrip: number | null;
  /** Milliseconds by which this process's clock is ahead of the database's, give or take half a round trip. */
  readonly clockSkew: number | null;
  /** `off` when nothing is answered from memory, `disconnected` when revocations are not heard and so nothing is for now. */
  readonly listener: 'off' | 'current' | 'disconnected';
  /**
   * `off` if this process deletes no expired rows. Milliseconds since the last success, and by how much the next run is
   * overdue.
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
 * For `@nestjs/terminus`, which this module does not need: `health.check([() => auth.check()])`. Or for a route of your
 * own, since `check` answers what `HealthIndicatorResult` describes.
 *
 * `down`: sessions cannot be read or the clock is wrong, so this process should get no requests. `up` with something
 * `degraded`: every answer is right. A listener that hears nothing costs speed only (everything is read from the
 * database meanwhile), and a cleanup that fails costs space.
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

  /** Never throws, and answers within `timeout`. However many ask meanwhile, the stores are asked once. */
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
      // What the round trip may account for is not the clock's fault.
      const certain = Math.abs(clockSkew) - roundTrip / 2;
      if (certain > NOTICEABLE_SKEW) degraded.push('clock');
      return certain > maxClockSkew ? answer('down', { reason: 'CLOCK_SKEW', ...times }) : answer('up', times);
    } catch (error) {
      return answer('down', { reason: reasonOf(error) });
    }
  }

  /** One at a time: a database that does not answer must not have its connections used up by those who ask how it is. */
  private probe(): Promise<Probe> {
    const startedAt = performance.now();
    // A connection that has died without a word never answers, also when the database is back.
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
    // The id of no session: what matters is that there is an answer, from wherever sessions are kept.
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
