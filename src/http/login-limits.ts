import { Injectable } from '@nestjs/common';
import { isAuthError } from '../auth.errors.js';
import { LoginBackoff } from '../rate-limit/backoff.js';
import { rateLimited, RateLimitService, type RateLimitVerdict } from '../rate-limit/rate-limit.service.js';

/**
 * What stands between a guesser and the password: per address the back-off and `login_ip`, per account `login_attempt`.
 * An attempt is counted before the password is looked at, so that of any number at once no more than the limit get
 * through, and taken back when it was no failure: only failures count.
 */
@Injectable()
export class LoginLimits {
  constructor(
    private readonly limits: RateLimitService,
    private readonly backoff: LoginBackoff,
  ) {}

  /**
   * Runs the verification where address and account have room, else throws `RATE_LIMITED` with the true time to wait;
   * a refused attempt counts nothing. Success clears the account's bucket, and never the address's: whoever has one
   * account must not be able to reset it for guesses at others.
   */
  async around<T>(address: string | null, login: string, verify: () => Promise<T>): Promise<T> {
    const wait = await this.backoff.check(address);
    if (!wait.allowed) throw rateLimited({ event: 'login_backoff', limit: wait.failures, retryAfter: wait.retryAfter });
    const verdict = await this.limits.consumeAll([
      { event: 'login_ip', subject: address },
      { event: 'login_attempt', subject: login },
    ]);
    if (!verdict.allowed) throw rateLimited(verdict.decisive);

    try {
      const verified = await verify();
      await Promise.all([
        this.limits.clear('login_attempt', login),
        this.takeBack(verdict, { address }),
        this.backoff.reset(address),
      ]);
      return verified;
    } catch (error) {
      if (isAuthError(error, 'INVALID_CREDENTIALS')) await this.backoff.recordFailure(address);
      else await this.takeBack(verdict, { address, login });
      throw error;
    }
  }

  /** Best effort after a fault: it may be the database that is away, and the fault is the answer. */
  private async takeBack(
    { decisions }: RateLimitVerdict,
    subjects: { address: string | null; login?: string },
  ): Promise<void> {
    for (const decision of decisions) {
      if (decision.event === 'login_ip') await this.limits.refund(subjects.address, decision).catch(ignore);
      else if (subjects.login !== undefined) await this.limits.refund(subjects.login, decision).catch(ignore);
    }
  }
}

const ignore = () => false;
