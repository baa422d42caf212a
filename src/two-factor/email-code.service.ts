import { Injectable } from '@nestjs/common';
import { asAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthEvents } from '../events/auth-events.js';
import { FactorProofs } from '../login/factor-proofs.js';
import { MailboxProofs } from '../login/mailbox-proofs.js';
import { StepUpMethods } from '../login/step-up-methods.js';
import { TrustedBrowsers } from '../login/trusted-browsers.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { RateLimitService } from '../rate-limit/rate-limit.service.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import type { Session } from '../session/session.js';
import { SessionService } from '../session/session.service.js';
import { SessionStore } from '../session/session.store.js';
import type { AuthUser } from '../user/user.directory.js';
import { EmailFactorStore } from './email-factor.store.js';
import { MailedCodes, type MailedCodeOf } from './mailed-codes.js';

/** Whose second step it is, and in which session. */
export interface EmailCodeOwner {
  readonly user: AuthUser;
  /** The live session of the request. */
  readonly session: Session;
  /** The client's address, if known. */
  readonly ip?: string | null;
}

const METHOD = 'email-code';

/**
 * Turns codes by mail as the second step on and off, for their owner: on by a code that was mailed, so that nobody locks
 * themselves out. The session must be fresh (`flows.freshness`) and have proved as much as the account can (OWASP ASVS
 * 7.5.1). Either ends the user's other stored sessions and all trusted browsers (7.4.3), and the owner is told by mail.
 *
 * @example
 * ```ts
 * await emailCodes.start({ user, session: current, ip }); // mails a code
 * await emailCodes.enable({ user, session: current, ip }, 'WDJB-MJHT');
 * ```
 */
@Injectable()
export class EmailCodeService {
  constructor(
    private readonly store: EmailFactorStore,
    private readonly codes: MailedCodes,
    private readonly proofs: FactorProofs,
    private readonly stepUps: StepUpMethods,
    private readonly limits: RateLimitService,
    private readonly sessions: SessionService,
    private readonly sessionStore: SessionStore,
    private readonly trusted: TrustedBrowsers,
    private readonly revocation: TokenRevocationService,
    private readonly transaction: AuthTransaction,
    private readonly mailboxes: MailboxProofs,
    private readonly notices: OwnerNotices,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * Mails a code to the address of the account. It counts in this session for ten minutes, and voids the one before.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session is not fresh, or has proved less than the account can.
   * @throws {AuthError} `RATE_LIMITED` after `email_send` codes of the user (default 3 in 10 minutes).
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing is counted.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing is counted.
   */
  async start(owner: EmailCodeOwner): Promise<void> {
    const { user, session, ip = null } = owner;
    await this.stepUps.demandMost(session);
    const sent = await this.limits.consumeOrThrow('email_send', `2fa ${user.id}`);
    const refund = () => this.limits.refund(sent);
    try {
      await this.codes.send(codeOf(owner), ip, refund);
    } catch (error) {
      await refund().catch(() => false);
      throw asAuthError(error, 'The user directory');
    }
  }

  /**
   * Turns it on, if this is the code. Emits `factor.added`.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` as above.
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a code that is wrong, spent, expired, replaced or of another session.
   * @throws {AuthError} `RATE_LIMITED` after `2fa_attempt` wrong ones (default 5 in 15 minutes), those of logins included.
   * @throws {AuthError} `UNAUTHENTICATED` if everything of the account has ended meanwhile.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing is counted.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing is counted or spent.
   */
  async enable(owner: EmailCodeOwner, code: string): Promise<void> {
    const { user, session, ip = null } = owner;
    await this.stepUps.demandMost(session);
    await this.proofs.judge(user, { method: METHOD, ip }, () => this.codes.judge(codeOf(owner), code, ip), {
      work: async () => {
        await this.change(owner, 'added', () => this.store.enable(user.id, this.clock.now()));
        await this.mailboxes.confirm(user, { ip });
      },
    });
    await this.endOthersAfter(session);
  }

  /**
   * Turns it off. Emits `factor.removed`. Does nothing if it is off.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` as above.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing has changed.
   */
  async disable(owner: EmailCodeOwner): Promise<void> {
    await this.stepUps.demandMost(owner.session);
    await this.transaction.run(() => this.change(owner, 'removed', () => this.store.disable(owner.user.id)));
    await this.endOthersAfter(owner.session);
  }

  /** Whether the user has it. */
  isEnabled({ id }: AuthUser): Promise<boolean> {
    return this.store.isEnabled(id);
  }

  private async change(
    { user, session, ip = null }: EmailCodeOwner,
    how: 'added' | 'removed',
    write: () => Promise<boolean>,
  ): Promise<void> {
    if (how === 'added') {
      await this.revocation.confirmOwner(user);
      // Once more: a factor may have been added meanwhile, which the session has not proved.
      await this.stepUps.demandMost(session);
    }
    if (!(await write())) return;
    if (this.sessionStore.joinsTransactions) await this.endOthers(session);
    await this.trusted.forget(user.id);
    this.notices.tell(user, `factor_${how}`, { factor: METHOD });
    const of = { at: this.clock.now(), userId: user.id, factor: METHOD, ip };
    this.events.emitAfterTransaction({ type: `factor.${how}`, ...of });
  }

  /** A storage of its own takes no part in the transaction. */
  private async endOthersAfter(session: Session): Promise<void> {
    if (!this.sessionStore.joinsTransactions) await this.endOthers(session);
  }

  private async endOthers(session: Session): Promise<void> {
    await this.sessions.revokeAllForUser(session.userId, { except: session });
  }
}

function codeOf({ user, session }: EmailCodeOwner): MailedCodeOf {
  return { type: 'email_otp_setup', user, attempt: session.handle };
}
