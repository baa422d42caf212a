import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError, isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { Session } from '../session/session.js';
import { isActive } from '../user/account.js';
import { NO_PASSWORD, UserDirectory } from '../user/user.directory.js';
import { isSatisfiedBy, type LackingAssurance } from './assurance.js';
import { EnrolledFactors } from './enrolled-factors.js';

/** The methods by which the user of a session can prove more: the password, and every second factor. */
@Injectable()
export class StepUpMethods {
  constructor(
    private readonly users: UserDirectory,
    private readonly factors: EnrolledFactors,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {}

  /**
   * Those that this user has; with `lacking`, those of which one is enough for a session with these proofs.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  async of({ userId, amr }: Pick<Session, 'userId' | 'amr'>, lacking: LackingAssurance = {}): Promise<string[]> {
    const methods = [...((await this.hasPassword(userId)) ? ['password'] : []), ...(await this.factorsOf(userId))];
    return methods.filter((method) => isSatisfiedBy(method, amr, lacking));
  }

  /**
   * For what a stolen session must not do: its user must have proved who they are within `flows.freshness`, and by two
   * factors with `aal: 2`.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session lacks that.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  async demand(session: Session, { aal = 1 }: { aal?: 1 | 2 } = {}): Promise<void> {
    const { freshness, stepUp } = this.config.flows;
    const isFresh = this.clock.now() - session.authenticatedAt < freshness;
    if (isFresh && session.aal >= aal) return;
    const lacking: LackingAssurance = {
      ...(session.aal < aal && { aal }),
      ...(!isFresh && { maxAge: freshness }),
    };
    const required = {
      ...(session.aal < aal && { aal }),
      ...(!isFresh && { maxAge: Math.floor(freshness / 1000) }),
    };
    const methods = stepUp ? await this.of(session, lacking) : [];
    const message =
      'The session does not prove enough for this: let its user prove more by POST step-up, or log in again.';
    throw new AuthError('STEP_UP_REQUIRED', message, { required, methods });
  }

  private async factorsOf(userId: string): Promise<readonly string[]> {
    if (this.factors.isEmpty) return [];
    try {
      const user = await this.users.findById(userId);
      return isActive(user) ? await this.factors.methodsOf(user) : [];
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }

  private async hasPassword(userId: string): Promise<boolean> {
    try {
      const hash = await this.users.findPasswordHash(userId);
      return hash !== null && hash !== NO_PASSWORD;
    } catch (error) {
      // A directory that tells no hashes verifies passwords all the same.
      if (isAuthError(error, 'UNSUPPORTED')) return true;
      throw asAuthError(error, 'The user directory');
    }
  }
}
