import { Injectable, Optional } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { AuthEvents } from '../events/auth-events.js';
import { EnrolledFactors } from '../login/enrolled-factors.js';
import { MailboxProofs } from '../login/mailbox-proofs.js';
import { PasswordAttempts } from '../login/password-attempts.js';
import type { MailDraft } from '../mail/mail.js';
import { Outbox } from '../mail/outbox.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { RateLimitService } from '../rate-limit/rate-limit.service.js';
import { AccountLock } from '../user/account-lock.js';
import { hasCutoff, isActive } from '../user/account.js';
import { normalizeLogin } from '../user/login-name.js';
import { PasswordHasher } from '../user/password-hasher.js';
import { NewPasswords } from '../user/new-passwords.js';
import { NO_PASSWORD, UserDirectory, type AuthUser } from '../user/user.directory.js';
import { PasswordWriter } from '../login/password-writer.js';

/**
 * Forgotten passwords: a mailed link that works once. `flows: { passwordReset: {} }` provides it, and mounts `POST
 * forgot-password` and `POST reset-password` on it.
 *
 * It limits the mails of each account (`password_reset_send`). What one client may ask for, its routes limit: put
 * `@RateLimit({ event: 'password_reset_ip' })` and `@RateLimit({ event: 'mail_ip' })` on a handler of your own.
 *
 * @example
 * ```ts
 * resets.request(email); // answer the same whatever becomes of it
 *
 * await resets.reset(token, 'a better passphrase', { ip });
 * ```
 */
@Injectable()
export class PasswordResetService {
  constructor(
    private readonly users: UserDirectory,
    private readonly hasher: PasswordHasher,
    private readonly newPasswords: NewPasswords,
    private readonly attempts: PasswordAttempts,
    private readonly limits: RateLimitService,
    private readonly tokens: EphemeralTokenService,
    private readonly transaction: AuthTransaction,
    private readonly accounts: AccountLock,
    private readonly passwords: PasswordWriter,
    private readonly factors: EnrolledFactors,
    private readonly mailboxes: MailboxProofs,
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    // Missing without a mailer, which is one of the mistakes that AuthConfig lists.
    @Optional() private readonly outbox?: Outbox,
  ) {}

  /**
   * Mails a link to the owner of the account with this login name, in any spelling, and voids the earlier one. Returns
   * at once: whether there is an account is looked up after the answer, so neither the answer nor its time tells (OWASP
   * ASVS 6.3.8).
   *
   * - An unknown or a disabled account gets no mail, nor does one that has had `password_reset_send` of them (default 3
   *   in 15 minutes).
   * - An account without a password gets a mail that says so, unless `flows.passwordReset.allowNew`.
   * - A mail that cannot be sent is not counted, and its link is void.
   *
   * @throws {TypeError} for anything but a string.
   */
  request(email: string): void {
    const login = normalizeLogin(email);
    this.outbox?.post(() => this.mailFor(login));
  }

  /**
   * Spends the token of a link and sets the password. Every session, JWT, signed cookie and single-use token of the
   * account ends, and a password that too many wrong ones have disabled works again, as do codes by mail, which prove no
   * more than the link does. It opens no session and removes no second factor (OWASP ASVS 6.4.3), unless nobody has proved
   * the mailbox before: then nothing stays by which somebody else could use the account, see `MailboxProofs`. Emits
   * `password.reset`; the owner is told by mail.
   *
   * Token and password are one transaction: an error before its commit changes neither. With an `engine` other than
   * PostgreSQL the sessions end after the commit: if that fails, with `STORE_UNAVAILABLE`, the new password is in force
   * all the same. A `UserDirectory` of your own is part of the transaction only if
   * its statements are. Of
   * concurrent calls with links of one account exactly one succeeds. Call it outside of an `AuthTransaction`: it hashes.
   *
   * @throws {AuthError} `INVALID_LINK` if the token is unknown, spent or expired, a later link was mailed, or the account
   *   has been disabled or deleted, or has got another address or password, or signed out everywhere, since.
   * @throws {AuthError} `WEAK_PASSWORD` if the `PasswordPolicy` refuses the password; nothing is spent.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing is spent.
   * @throws {AuthError} `UNSUPPORTED` if your `UserDirectory` lacks `findPasswordHash` or `setPasswordHash`, or, with
   *   signed cookies or JWT sessions, `invalidateTokens`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async reset(token: string, password: string, { ip = null }: { ip?: string | null } = {}): Promise<AuthUser> {
    try {
      const { owner: found, cutoff, replaces } = await this.ownerOf(token);
      const { id, email } = found;
      await this.newPasswords.accept(password, { userId: id, email });
      const hash = await this.hasher.hash(password, { ip });
      // Before the transaction, in which our own directory does it too: after a success it has been done in any case.
      await this.attempts.forget(id);
      await this.factors.mailboxProved(found);
      const user = await this.transaction.run(async () => {
        await this.accounts.hold(id);
        const link = await this.tokens.consume('password_reset', token);
        const owner = link && (await this.users.findByLogin(link.username));
        if (owner?.id !== id || !hasCutoff(owner, cutoff)) throw invalidLink();
        const changed = await this.passwords.write(id, hash, replaces);
        const proved = changed && (await this.mailboxes.accept(changed, { ip, hasNewPassword: true }));
        if (!proved) throw invalidLink();
        this.events.emitAfterTransaction({ type: 'password.reset', at: this.clock.now(), userId: id, ip });
        return proved;
      });
      await this.passwords.endOthers(id);
      return user;
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }

  /** The account as it is before the password is hashed, with which it is compared afterwards. */
  private async ownerOf(token: string): Promise<{ owner: AuthUser; cutoff: number | null; replaces: string }> {
    const link = await this.tokens.peek('password_reset', token);
    const user = link && (await this.users.findByLogin(link.username));
    const replaces = user && (await this.users.findPasswordHash(user.id));
    if (!user || replaces === null || !this.canReset(replaces)) throw invalidLink();
    return { owner: user, cutoff: user.tokensInvalidatedAfter ?? null, replaces };
  }

  private async mailFor(login: string): Promise<MailDraft | null> {
    const user = await this.users.findByLogin(login);
    if (!isActive(user)) return null;
    const stored = await this.users.findPasswordHash(user.id);
    if (stored === null) return null;
    // One account has one bucket, and one link, in whatever spelling it is asked for.
    const counted = await this.limits.consume('password_reset_send', user.email);
    if (!counted.allowed) return null;
    const refund = () => this.limits.refund(counted);
    const to = { to: user.email, userId: user.id };
    if (!this.canReset(stored)) return { kind: 'no_password', ...to, facts: {}, onUnsent: refund };
    const validFor = this.config.ephemeralTokens.get('password_reset')!.ttl;
    try {
      const token = await this.tokens.issue('password_reset', { username: user.email });
      const onUnsent = async () => {
        await this.tokens.revoke('password_reset', token);
        await refund();
      };
      return { kind: 'password_reset', ...to, facts: { token, validFor }, onUnsent };
    } catch (error) {
      await refund().catch(() => false);
      throw error;
    }
  }

  private canReset(storedHash: string): boolean {
    return storedHash !== NO_PASSWORD || this.config.flows.passwordReset?.allowNew === true;
  }
}

function invalidLink(): AuthError {
  return new AuthError('INVALID_LINK', 'The link to a new password is unknown, spent, expired or void.', {});
}
