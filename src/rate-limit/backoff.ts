import { Injectable } from '@nestjs/common';
import { SampledLogger } from '../common/sampled-logger.js';
import { isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { subjectOfAddress } from '../common/ip-address.js';
import { AuthConfig } from '../config/auth-config.js';
import { backoffDelay, backoffSteps, secondsUntil, type Bucket } from './rate-limit.policy.js';
import { RateLimitStore } from './rate-limit.store.js';

export interface BackoffState {
  readonly allowed: boolean;
  /** Consecutive failures, as far as they still lengthen the delay. */
  readonly failures: number;
  /** When the delay ends, in epoch milliseconds. From that exact instant on, the next login is checked. */
  readonly resetAt: number;
  /** Whole seconds left, rounded up; 0 if a login is allowed. */
  readonly retryAfter: number;
}

const EVENT = 'login_backoff';

/**
 * Growing delays after failed logins from one address, shared by all instances: 0.5, 1, 2, 4, 5, 5 s from the last
 * failure, reset by a success. A login during the delay is refused without being checked, and does not lengthen it.
 *
 * It slows down an attacker who waits for each answer. Guesses sent at the same moment all see the same state; those
 * are bounded by `login_ip`, which is exact. Clients with an unknown address have only that limit: with one delay for
 * all of them, any one could lock out the others.
 */
@Injectable()
export class LoginBackoff {
  private readonly logger = new SampledLogger();
  private readonly steps: number;

  constructor(
    private readonly store: RateLimitStore,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {
    const { backoff } = config.rateLimits;
    this.steps = backoff.base === 0 ? 0 : backoffSteps(backoff);
  }

  /** Whether a login from this address may be checked now. Call it before checking the password. */
  async check(address: string | null): Promise<BackoffState> {
    const now = this.clock.now();
    const free: BackoffState = { allowed: true, failures: 0, resetAt: now, retryAfter: 0 };
    const bucket = this.bucket(address);
    if (!bucket) return free;
    try {
      const { used, newest } = await this.store.read(bucket, now);
      if (newest === null) return free;
      const resetAt = newest + backoffDelay(used, this.config.rateLimits.backoff);
      const allowed = now >= resetAt;
      return { allowed, failures: used, resetAt, retryAfter: allowed ? 0 : secondsUntil(resetAt, now) };
    } catch (error) {
      if (this.config.rateLimits.onStoreError === 'deny' || !isAuthError(error, 'STORE_UNAVAILABLE')) throw error;
      this.logger.error('The login back-off is off: the database did not answer.');
      return free;
    }
  }

  /** A login from this address was refused for its credentials. */
  async recordFailure(address: string | null): Promise<void> {
    const bucket = this.bucket(address);
    if (bucket) await this.store.record(bucket, this.clock.now());
  }

  /** A login from this address succeeded. */
  async reset(address: string | null): Promise<void> {
    const bucket = this.bucket(address);
    if (bucket) await this.store.clear(bucket);
  }

  private bucket(address: string | null): Bucket | null {
    const subject = this.steps === 0 ? null : subjectOfAddress(address);
    if (subject === null) return null;
    return { event: EVENT, subject, limit: this.steps, window: this.config.rateLimits.backoff.window };
  }
}
