import { Injectable } from '@nestjs/common';
import { asAuthError } from '../auth.errors.js';
import { FactorChanges } from '../login/factor-changes.js';
import type { TokenTransport } from '../login/login.service.js';
import { MailboxProofs } from '../login/mailbox-proofs.js';
import { RateLimitService } from '../rate-limit/rate-limit.service.js';
import type { CookieValue } from '../login/session-scheme.js';
import type { Session } from '../session/session.js';
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
  /** What the client says that it is, if known. */
  readonly userAgent?: string | null;
  /** How the client holds the session. Default `cookie`. */
  readonly transport?: TokenTransport;
}

const METHOD = 'email-code';

/**
 * Turns codes by mail as the second step on and off, for their owner: on by a code that was mailed, so that nobody locks
 * themselves out. The session must be fresh (`flows.freshness`) and have proved as much as the account can (OWASP ASVS
 * 7.5.1). Either ends the user's other sessions and all trusted browsers (7.4.3), and the owner is told by mail.
 *
 * The session goes on with its token. Only where there are sessions that are stored nowhere (`jwt: { sessions: true }`)
 * it ends with the others: `enable` and `disable` then return its new token, shown only this once, and otherwise `null`.
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
    private readonly changes: FactorChanges,
    private readonly limits: RateLimitService,
    private readonly mailboxes: MailboxProofs,
  ) {}

  /**
   * Mails a code to the address of the account. It counts in this session for ten minutes, and voids the one before.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session is not fresh, or has proved less than the account can.
   * @throws {AuthError} `RATE_LIMITED` after `email_send` codes of the user (default 3 in 10 minutes).
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing is counted.
   * @throws {AuthError} `UNAUTHENTICATED` if the account is gone.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing is counted.
   */
  async start(owner: EmailCodeOwner): Promise<void> {
    const { user, session, ip = null } = owner;
    await this.changes.demand(session);
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
   * Turns it on, if this is the code. Emits `factor.added`. Returns the new token of the session, if it has to have one.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` as above.
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a code that is wrong, spent, expired, replaced or of another session.
   * @throws {AuthError} `RATE_LIMITED` after `2fa_attempt` wrong ones (default 5 in 15 minutes), those of logins included.
   * @throws {AuthError} `UNAUTHENTICATED` if the session, or everything of the account, has ended meanwhile.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing is counted.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing is counted or spent.
   */
  async enable(owner: EmailCodeOwner, code: string): Promise<CookieValue | null> {
    const { user, session, ip = null } = owner;
    await this.changes.demand(session);
    return this.changes.keeping(owner, {
      factor: METHOD,
      how: 'added',
      verify: () => this.codes.judge(codeOf(owner), code, ip),
      write: async ({ user: now, at }) => {
        const isNew = await this.store.enable(user.id, at);
        await this.mailboxes.confirm(now, { ip });
        return isNew;
      },
    });
  }

  /**
   * Turns it off. Emits `factor.removed`. Does nothing if it is off. Returns the new token of the session, if it has to
   * have one.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED`, `UNAUTHENTICATED` as above.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing has changed.
   */
  async disable(owner: EmailCodeOwner): Promise<CookieValue | null> {
    await this.changes.demand(owner.session);
    const write = () => this.store.disable(owner.user.id);
    return this.changes.keeping(owner, { factor: METHOD, how: 'removed', write });
  }

  /** Whether the user has it. */
  isEnabled({ id }: AuthUser): Promise<boolean> {
    return this.store.isEnabled(id);
  }
}

function codeOf({ user, session }: EmailCodeOwner): MailedCodeOf {
  return { type: 'email_otp_setup', user, attempt: session.handle };
}
