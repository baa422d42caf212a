import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthEvents } from '../events/auth-events.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { rateLimited, RateLimitService } from '../rate-limit/rate-limit.service.js';
import { normalizeLogin } from '../user/login-name.js';
import { AccountLock } from '../user/account-lock.js';
import type { AuthUser } from '../user/user.directory.js';
import { EnrolledFactors } from './enrolled-factors.js';
import { SecondFactor, type FactorClaim, type FactorContext } from './second-factor.js';

/** A response, and the factor that it is for. */
export interface FactorResponseOf {
  /** The method of the factor, such as `totp`. */
  readonly method: string;
  /** The code, or what the method asks for. */
  readonly response: string;
}

/** What is to be done with a proof, and when. */
export interface ProofWork<T> {
  /**
   * Done once the response is right, with the proof's name in `Session.amr` if the response decides it. If it throws, the
   * response is not spent.
   */
  readonly work: (proves?: string) => Promise<T>;
  /**
   * Whether the response is spent in the transaction of `work`; otherwise before it, for work that no rollback takes
   * back. Default true.
   */
  readonly isJoined?: boolean;
}

/**
 * Judges the responses of second factors, at a login, a step-up and an enrolment alike. Wrong ones count for the account
 * in `2fa_attempt`, whatever the method, the transport, the challenge and the occasion (OWASP ASVS 6.6.3), and a right one
 * clears that count and no other.
 */
@Injectable()
export class FactorProofs {
  constructor(
    private readonly factors: EnrolledFactors,
    private readonly limits: RateLimitService,
    private readonly transaction: AuthTransaction,
    private readonly accounts: AccountLock,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * Does the work if this response proves a factor that the user has; of parallel calls with one response at most one
   * does it.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a method that the user does not have and a wrong response alike.
   * @throws {AuthError} `RATE_LIMITED` after `2fa_attempt` wrong ones; the response is not looked at.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or the factor did not answer; nothing is counted.
   * @throws whatever `work` throws; nothing is counted but `SECOND_FACTOR_REFUSED`.
   */
  prove<T>(user: AuthUser, { method, response }: FactorResponseOf, context: FactorContext, work: ProofWork<T>) {
    return this.judge(
      user,
      { method, ip: context.ip },
      async () => {
        const factor = await this.factors.find(user, method);
        return factor ? factor.verify(user, response, context) : false;
      },
      work,
    );
  }

  /** As `prove`, for a response to something that is not enrolled yet. */
  async judge<T>(
    user: AuthUser,
    { method: factor, ip }: { readonly method: string; readonly ip: string | null },
    verify: () => Promise<boolean | FactorClaim>,
    { work, isJoined = true }: ProofWork<T>,
  ): Promise<T> {
    const subject = normalizeLogin(user.email);
    const decision = await this.limits.consume('2fa_attempt', subject);
    if (!decision.allowed) throw rateLimited(decision);
    let done: T;
    let used: string;
    try {
      const verified = await verify();
      const claimed = isJoined ? await this.workOn(user, verified, work) : await this.workAfter(user, verified, work);
      if (!claimed) throw refusedFactor();
      done = claimed.done;
      used = claimed.proves ?? factor;
    } catch (error) {
      const fault = asAuthError(error, 'A second factor');
      // Best effort, here and below: if it fails, one attempt too many is counted.
      if (fault.code !== 'SECOND_FACTOR_REFUSED') await this.limits.refund(decision).catch(() => false);
      else this.events.emit({ type: 'factor.refused', at: this.clock.now(), userId: user.id, factor, ip });
      throw fault;
    }
    this.events.emitAfterTransaction({ type: 'factor.used', at: this.clock.now(), userId: user.id, factor: used, ip });
    await this.limits.clear('2fa_attempt', subject).catch(() => false);
    return done;
  }

  /** `null` if the response proved nothing, which is committed: a factor may have noted why. */
  private workOn<T>(
    { id }: AuthUser,
    verified: boolean | FactorClaim,
    work: ProofWork<T>['work'],
  ): Promise<DoneWork<T> | null> {
    return this.transaction.run(async () => {
      await this.accounts.hold(id);
      return (await isClaimed(verified)) ? doneWith(verified, work) : null;
    });
  }

  private async workAfter<T>(
    { id }: AuthUser,
    verified: boolean | FactorClaim,
    work: ProofWork<T>['work'],
  ): Promise<DoneWork<T> | null> {
    const isProved = await this.transaction.run(async () => {
      await this.accounts.hold(id);
      return isClaimed(verified);
    });
    return isProved ? doneWith(verified, work) : null;
  }

  /**
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a method that the user does not have.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the factor did not answer.
   */
  async require(user: AuthUser, method: string): Promise<void> {
    const factor = await this.factors.find(user, method).catch((error: unknown) => {
      throw asAuthError(error, 'A second factor');
    });
    if (!factor) throw refusedFactor();
  }

  /**
   * Asks the factor for what the user needs, such as a code by mail.
   *
   * @throws {AuthError} `RATE_LIMITED` after `email_send` requests of the user (default 3 in 10 minutes), of those that
   *   send something.
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a method that the user does not have.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or the factor did not answer.
   */
  async request(user: AuthUser, method: string, context: FactorContext): Promise<void> {
    try {
      const factor = await this.factors.find(user, method);
      if (!factor) throw refusedFactor();
      // One that sends nothing uses up nothing.
      if (factor.request === SecondFactor.prototype.request) return;
      // By the id: whoever asks for an account with the address of the user does not use up the user's codes.
      const sent = await this.limits.consumeOrThrow('email_send', `2fa ${user.id}`);
      try {
        await factor.request(user, { ...context, refund: () => this.limits.refund(sent) });
      } catch (error) {
        await this.limits.refund(sent).catch(() => false);
        throw error;
      }
    } catch (error) {
      throw asAuthError(error, 'A second factor');
    }
  }
}

interface DoneWork<T> {
  readonly done: T;
  /** What the response has proved, if it decides that. */
  readonly proves: string | undefined;
}

async function doneWith<T>(verified: boolean | FactorClaim, work: ProofWork<T>['work']): Promise<DoneWork<T>> {
  const proves = typeof verified === 'function' ? verified.proves : undefined;
  return { done: await work(proves), proves };
}

async function isClaimed(verified: boolean | FactorClaim): Promise<boolean> {
  return typeof verified === 'boolean' ? verified : verified();
}

/** The response proved nothing. */
export function refusedFactor(): AuthError {
  return new AuthError('SECOND_FACTOR_REFUSED', 'The login is over, or its second factor was not proved.', {});
}
