import { Inject, Injectable } from '@nestjs/common';
import { asAuthError } from '../auth.errors.js';
import type { AuthUser } from '../user/user.directory.js';
import { SECOND_FACTORS, type SecondFactor } from './second-factor.js';

/** What is known already of whether a user has each of these factors. */
export type KnownFactors = ReadonlyMap<SecondFactor, boolean>;

const NOTHING_KNOWN: KnownFactors = new Map();

/** The second factors that a user has, of those of the flows and of the application's own. */
@Injectable()
export class EnrolledFactors {
  constructor(@Inject(SECOND_FACTORS) private readonly factors: readonly SecondFactor[]) {}

  /** Whether there is no factor that anybody could have. */
  get isEmpty(): boolean {
    return this.factors.length === 0;
  }

  /**
   * The factors of this user, in the order in which the user is asked for them. What is `known` is not asked again.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if a factor did not answer.
   */
  async of(user: AuthUser, known = NOTHING_KNOWN): Promise<readonly SecondFactor[]> {
    if (this.isEmpty) return [];
    try {
      const enrolled = await Promise.all(
        this.factors.map(async (factor) => known.get(factor) ?? factor.isEnrolled(user)),
      );
      const factors = this.factors.filter((_, i) => enrolled[i]);
      return factors.every(({ isFallback }) => isFallback) ? [] : factors;
    } catch (error) {
      throw asAuthError(error, 'A second factor');
    }
  }

  /** Their methods. */
  async methodsOf(user: AuthUser, known = NOTHING_KNOWN): Promise<string[]> {
    return (await this.of(user, known)).map(({ method }) => method);
  }

  /**
   * The factor of this method, if the user has it. A fault of it is thrown as it is.
   */
  async find(user: AuthUser, method: string): Promise<SecondFactor | null> {
    const factor = this.factors.find((one) => one.method === method);
    if (!factor || !(await factor.isEnrolled(user))) return null;
    // Where there is nothing left for it to stand in for, it proves nothing.
    return factor.isFallback && (await this.of(user)).length === 0 ? null : factor;
  }

  /**
   * Tells all that the user has proved the mailbox, as `SecondFactor.mailboxProved` has it.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if a factor did not answer.
   */
  async mailboxProved(user: AuthUser): Promise<void> {
    try {
      for (const factor of this.factors) await factor.mailboxProved(user);
    } catch (error) {
      throw asAuthError(error, 'A second factor');
    }
  }

  /**
   * Takes from the user what was enrolled at `since` (epoch ms) or later, as part of the transaction around it. Returns
   * the methods of which something was.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if a factor did not answer.
   */
  async removeSince(user: AuthUser, since: number): Promise<string[]> {
    const removed: string[] = [];
    try {
      for (const factor of this.factors) if (await factor.removeSince(user, since)) removed.push(factor.method);
    } catch (error) {
      throw asAuthError(error, 'A second factor');
    }
    return removed;
  }
}
