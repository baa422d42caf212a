import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { AuthEvents } from '../events/auth-events.js';
import { AccountRecovery } from '../login/account-recovery.js';
import type { MailDraft } from '../mail/mail.js';
import { Outbox } from '../mail/outbox.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { RateLimitService } from '../rate-limit/rate-limit.service.js';
import { AccountLock } from '../user/account-lock.js';
import { hasCutoff, isActive } from '../user/account.js';
import { checkedEmail } from '../user/email-address.js';
import { normalizeLogin } from '../user/login-name.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';

/**
 * Changes the address of an account, once the owner of the new mailbox has confirmed it, and takes the change back for
 * the owner of the old one.
 *
 * - An address takes effect only after a mail to it was answered. Until then the account has the old one.
 * - The old mailbox gets a link that works for a week. It brings the address back, ends everything that is logged in,
 *   makes the password useless, removes the second factors and the accounts at providers that have come since, and mails
 *   a link for a new password: whoever has stolen a session and moved the account is out. What was there before stays, so
 *   that an old mailbox alone removes nothing (CVE-2024-27928).
 * - Neither link opens a session (OWASP ASVS 6.4.2). Opening them changes nothing: your page sends the token.
 *
 * @example
 * ```ts
 * emailChanges.request(user, 'ada@new.example.com'); // the mail goes to the new address, after the answer
 * await emailChanges.confirm(token); // INVALID_LINK, or the address has changed
 * ```
 */
@Injectable()
export class EmailChangeService {
  constructor(
    private readonly users: UserDirectory,
    private readonly tokens: EphemeralTokenService,
    private readonly limits: RateLimitService,
    private readonly outbox: Outbox,
    private readonly recovery: AccountRecovery,
    private readonly transaction: AuthTransaction,
    private readonly accounts: AccountLock,
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * Mails a link to the new address, after the answer, and returns at once: nobody learns whether the address is taken.
   * The earlier link of the account is void. At most `email_send` mails for one account are sent, and none if everything
   * that is logged in has been ended since `user` was read. Call it for a user whose session is fresh.
   *
   * @throws {AuthError} `INVALID_INPUT` if `to` is not exactly one mailbox.
   */
  request(user: Pick<AuthUser, 'id' | 'tokensInvalidatedAfter'>, to: string): void {
    const address = checkedEmail(to);
    if (address === null) throw invalidAddress();
    const { id, tokensInvalidatedAfter: cutoff } = user;
    this.outbox.post(() => this.changeMail(id, cutoff, address));
  }

  /**
   * The account has the new address from now on, if it still has the one that it had when the link was asked for. Links
   * of other kinds that were mailed to the old address are void. Emits `email.changed`. Of concurrent calls with one
   * token exactly one succeeds. Returns the account.
   *
   * @throws {AuthError} `INVALID_LINK` if the token cannot be used, or the address is taken by now: nothing has changed.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer: nothing has changed.
   */
  async confirm(token: string): Promise<AuthUser> {
    return this.transaction.run(async () => {
      const found = await this.tokens.peek('email_change', token);
      if (found) await this.accounts.hold(found.account);
      const change = await this.tokens.consume('email_change', token);
      if (!change) throw invalidLink();
      const { from, to } = change;
      const user = await this.users.findByLogin(from);
      if (!isActive(user) || user.id !== change.account) throw invalidLink();
      const changedAt = this.recovery.next(user);
      const changed = await this.set(user, to, changedAt);
      await this.tokens.revokeAllForLogin(from);
      const wasUnproved = user.emailVerifiedAt === null && !this.config.flows.legacyVerified;
      const fields = { account: user.id, from: user.email, changedAt, ...(wasUnproved && { wasUnproved }) };
      const undo = await this.tokens.issue('email_revert', fields, { issuedAt: changedAt });
      const { ttl } = this.config.ephemeralTokens.get('email_revert')!;
      this.outbox.post({
        kind: 'email_changed',
        to: user.email,
        userId: user.id,
        facts: { token: undo, validFor: ttl },
        // The only way back: nobody can ask for it again.
        retries: true,
      });
      this.events.emitAfterTransaction({ type: 'email.changed', at: this.clock.now(), userId: user.id });
      return changed;
    });
  }

  /**
   * The account has the old address again. Every session, JWT, signed cookie and mailed link of it ends, but for reverts
   * of earlier changes; its password opens it no longer, and a link for a new one is mailed to the old address. Second
   * factors that were enrolled since the change, those in place of older ones too, are removed, or all of them if nobody
   * had proved the old address; so are accounts at providers that were linked since, and those of another address that were linked in the week before. No browser is trusted any more. Emits
   * `email.reverted`, `factor.removed` for each method, and `identity.unlinked` for each provider. Of concurrent calls with
   * one token exactly one succeeds. Returns the account.
   *
   * @throws {AuthError} `INVALID_LINK` if the token cannot be used, or the address is taken by now: nothing has changed.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed: nothing has changed.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer: nothing has changed.
   */
  revert(token: string): Promise<AuthUser> {
    return this.recovery.takeBack('email_revert', token);
  }

  private async set(user: AuthUser, to: string, verifiedAt: number): Promise<AuthUser> {
    const change = { from: user.email, to, verifiedAt };
    const outcome = await this.users.setEmail(user.id, change).catch((error: unknown) => {
      throw asAuthError(error, 'The user directory');
    });
    const changed = outcome === 'done' ? await this.users.findById(user.id) : null;
    if (!changed) throw invalidLink();
    return changed;
  }

  private async changeMail(userId: string, cutoff: number | null | undefined, to: string): Promise<MailDraft | null> {
    const user = await this.users.findById(userId);
    // The outbox may be long: whoever was thrown out meanwhile moves nothing any more.
    if (cutoff !== undefined && !(user && hasCutoff(user, cutoff))) return null;
    if (!isActive(user)) return null;
    const from = normalizeLogin(user.email);
    // Another program may have stored an address that is somebody else's in our spelling: the link would be theirs.
    if ((await this.users.findByLogin(from))?.id !== user.id) return null;
    const own = await this.limits.consume('email_send', userId);
    if (!own.allowed) return null;
    const counted = [own];
    const refund = async () => {
      for (const decision of counted) await this.limits.refund(decision).catch(() => false);
    };
    try {
      const token = await this.tokens.issue('email_change', { username: from, account: user.id, from, to });
      const onUnsent = async () => {
        try {
          await this.tokens.revoke('email_change', token);
        } finally {
          await refund();
        }
      };
      // A token counts from the cutoff that is read with it: whoever was thrown out since must not profit.
      const now = await this.users.findById(userId);
      if (cutoff !== undefined && !(now && hasCutoff(now, cutoff))) {
        await onUnsent();
        return null;
      }
      // Only now, and that of the mailbox last: one that is taken, or may get no more mails, which requests for a link use
      // up for accounts alone, costs its asker quota and voids the earlier link as a free one does.
      if ((await this.users.findByLogin(to)) !== null) return null;
      const sent = await this.limits.consume('email_send', to);
      if (!sent.allowed) return null;
      counted.push(sent);
      const { ttl } = this.config.ephemeralTokens.get('email_change')!;
      return { kind: 'email_change', to, userId, facts: { token, validFor: ttl }, onUnsent };
    } catch (error) {
      await refund();
      throw error;
    }
  }
}

function invalidLink(): AuthError {
  return new AuthError('INVALID_LINK', 'The link is unknown, spent, expired or replaced by a newer one.', {});
}

function invalidAddress(): AuthError {
  const expected = 'must be one e-mail address';
  return new AuthError('INVALID_INPUT', `email ${expected}.`, { fields: { email: expected } });
}
