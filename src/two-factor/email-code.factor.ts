import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { AuthEvents } from '../events/auth-events.js';
import {
  SecondFactor,
  type FactorClaim,
  type FactorContext,
  type FactorOccasion,
  type FactorRequest,
} from '../login/second-factor.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import type { AuthUser } from '../user/user.directory.js';
import { EmailFactorStore } from './email-factor.store.js';
import { MAX_FAILURES } from './max-failures.js';
import { MailedCodes, type MailedCodeOf } from './mailed-codes.js';

/**
 * A code by mail as the second step of a login, or for a step-up. It proves a mailbox and no factor, so the assurance of a
 * session stays what it was (NIST SP 800-63B-4, section 3.1.3.1).
 */
@Injectable()
export class EmailCodeFactor extends SecondFactor {
  override readonly method = 'email-code';

  constructor(
    private readonly store: EmailFactorStore,
    private readonly codes: MailedCodes,
    private readonly notices: OwnerNotices,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {
    super();
  }

  override isEnrolled({ id }: AuthUser): Promise<boolean> {
    return this.store.isEnabled(id);
  }

  override async verify(
    user: AuthUser,
    response: string,
    { ip, occasion }: FactorContext,
  ): Promise<boolean | FactorClaim> {
    const failures = await this.store.count(user.id, MAX_FAILURES);
    if (failures === null || !occasion) return this.codes.judgeInVain(user, response, ip);
    let claim: false | FactorClaim;
    try {
      claim = await this.codes.judge(codeOf(user, occasion), response, ip);
    } catch (error) {
      await this.store.refund(user.id).catch(() => undefined);
      throw error;
    }
    if (claim === false) {
      if (failures === MAX_FAILURES) this.tellDisabled(user, ip);
      return false;
    }
    return async () => {
      if (!(await claim())) return false;
      await this.store.reset(user.id);
      return true;
    };
  }

  override async request(user: AuthUser, { ip, occasion, refund }: FactorRequest): Promise<void> {
    if (!occasion) throw new TypeError('A code by mail is for a login or a step-up.');
    await this.codes.send(codeOf(user, occasion), ip, refund);
  }

  override removeSince({ id }: AuthUser, since: number): Promise<boolean> {
    return this.store.removeSince(id, since);
  }

  /** A code proves the same, and nobody else can enrol it anew (NIST SP 800-63B-4, section 3.2.2). */
  override mailboxProved({ id }: AuthUser): Promise<void> {
    return this.store.reset(id);
  }

  /** Once: no further code is judged. */
  private tellDisabled(user: AuthUser, ip: string | null): void {
    const of = { userId: user.id, factor: this.method, ip, failures: MAX_FAILURES };
    this.events.emit({ type: 'factor.disabled', at: this.clock.now(), ...of });
    this.notices.tell(user, 'factor_disabled', { factor: this.method });
  }
}

function codeOf(user: AuthUser, { purpose, boundTo }: FactorOccasion): MailedCodeOf {
  return { type: 'login_code', user, attempt: `${purpose} ${boundTo}` };
}
