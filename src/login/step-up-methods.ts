import { Inject, Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { Session } from '../session/session.js';
import { isActive } from '../user/account.js';
import { hasPassword } from '../user/has-password.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { aalOf, isFresh, isSatisfiedBy, type LackingAssurance } from './assurance.js';
import { EnrolledFactors } from './enrolled-factors.js';
import { WAYS_IN, type StepUpWay, type WayIn } from './ways-in.js';

/** What the methods of a session's user are found by. */
export interface StepUpQuestion {
  /** Only those of which one is enough for a session that lacks this. */
  readonly lacking?: LackingAssurance;
  /** The active account of the session, if it has been read already. */
  readonly user?: AuthUser;
}

/** The methods by which the user of a session can prove more: the password, every second factor, and a login at a provider. */
@Injectable()
export class StepUpMethods {
  constructor(
    private readonly users: UserDirectory,
    private readonly factors: EnrolledFactors,
    @Inject(WAYS_IN) private readonly ways: readonly WayIn[],
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {}

  /**
   * The methods of `waysOf`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  async of(session: Pick<Session, 'userId' | 'amr'>, question: StepUpQuestion = {}): Promise<string[]> {
    return (await this.waysOf(session, question)).map(({ method }) => method);
  }

  /**
   * The ways that this user has; with `lacking`, those of which one is enough for a session with these proofs.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  async waysOf(
    { userId, amr }: Pick<Session, 'userId' | 'amr'>,
    { lacking = {}, user }: StepUpQuestion = {},
  ): Promise<StepUpWay[]> {
    const factors = await this.factorsOf(userId, user);
    const ways = [
      ...((await hasPassword(this.users, userId)) ? [{ method: 'password' }] : []),
      ...factors.map((method) => ({ method })),
      ...(await this.loginsOf(userId)),
    ];
    return ways.filter(({ method }) => isSatisfiedBy(method, amr, lacking, this.config.assurance));
  }

  /**
   * For what a stolen session must not do: its user must have proved who they are within `flows.freshness`, by two factors
   * with `aal: 2`, and by one of the methods of `amr`.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session lacks that.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  async demand(
    session: Session,
    { aal = 1, amr }: { aal?: 1 | 2; amr?: readonly string[] | undefined } = {},
  ): Promise<void> {
    const { freshness, stepUp } = this.config.flows;
    const isRecent = isFresh(session, { now: this.clock.now(), maxAge: freshness });
    const lacks = {
      ...(session.aal < aal && { aal }),
      ...(amr && !amr.some((method) => session.amr.includes(method)) && { amr }),
    };
    if (isRecent && Object.keys(lacks).length === 0) return;
    const lacking: LackingAssurance = { ...lacks, ...(!isRecent && { maxAge: freshness }) };
    const required = { ...lacks, ...(!isRecent && { maxAge: Math.floor(freshness / 1000) }) };
    const methods = stepUp ? await this.of(session, { lacking }) : [];
    const message =
      'The session does not prove enough for this: let its user prove more by POST step-up, or log in again.';
    throw new AuthError('STEP_UP_REQUIRED', message, { required, methods });
  }

  /**
   * For a change of what an account logs in with: its user must have proved as much as the account can, within
   * `flows.freshness`. Where that is not two factors, as with codes by mail, one of its second factors is among it: a login
   * in a trusted browser has left that out.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session lacks that.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  async demandMost(session: Session): Promise<void> {
    const { userId } = session;
    // There is no more than that.
    if (session.aal === 2) return this.demand(session);
    const aal = aalOf(await this.of({ userId, amr: [] }), this.config.assurance);
    const factors = aal === 2 ? [] : await this.factorsOf(userId);
    await this.demand(session, { aal, amr: factors.length > 0 ? factors : undefined });
  }

  private async loginsOf(userId: string): Promise<StepUpWay[]> {
    try {
      const ways = await Promise.all(this.ways.map((way) => way.stepUpWay(userId)));
      return ways.filter((way) => way !== null);
    } catch (error) {
      throw asAuthError(error, 'A way to log in');
    }
  }

  private async factorsOf(userId: string, known?: AuthUser): Promise<readonly string[]> {
    if (this.factors.isEmpty) return [];
    try {
      const user = known ?? (await this.users.findById(userId));
      return isActive(user) ? await this.factors.methodsOf(user) : [];
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }
}
