import { Injectable } from '@nestjs/common';
import { asAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { AuthEvents } from '../events/auth-events.js';
import { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import { OtherSessions, type SessionOwner } from '../login/other-sessions.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { SessionStore } from '../session/session.store.js';
import { AccountData } from '../user/account-data.js';
import { AccountLock } from '../user/account-lock.js';
import { normalizeLogin } from '../user/login-name.js';
import { UserDirectory } from '../user/user.directory.js';

/**
 * Deletes accounts, and with them every session, token and mailed link, all second factors and API keys. What your application keeps about the user is
 * yours to delete: call it in the transaction that does, by `AuthTransaction.within`, or let your tables refer to
 * `users` with ON DELETE CASCADE.
 *
 * @example
 * ```ts
 * await accountDeletion.delete(user.id); // false: somebody else was faster
 * ```
 */
@Injectable()
export class AccountDeletionService {
  constructor(
    private readonly users: UserDirectory,
    private readonly sessions: SessionStore,
    private readonly tokens: EphemeralTokenService,
    private readonly data: AccountData,
    private readonly accounts: AccountLock,
    private readonly others: OtherSessions,
    private readonly notices: OwnerNotices,
    private readonly transaction: AuthTransaction,
    private readonly channel: InvalidationChannel,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * Deletes the account, disabled or not, and tells its owner by mail. From then on none of its sessions and tokens is
   * valid anywhere, and its address can be registered again. Emits `account.deleted`. False if there is no such account;
   * of concurrent calls exactly one returns true. `by` is who asks for it in a session of the account: if that is over by
   * then, nothing is deleted.
   *
   * @throws {AuthError} `UNAUTHENTICATED` if the session of `by`, or everything of the account, has ended meanwhile.
   * @throws {AuthError} `UNSUPPORTED` if your `UserDirectory` does not override `delete`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer: the account is still there, or the outcome is
   *   unknown.
   */
  async delete(userId: string, { by }: { readonly by?: SessionOwner } = {}): Promise<boolean> {
    // An id may be written in several ways, and the account is locked by the directory's.
    const id = (await this.users.findById(userId))?.id;
    if (id === undefined) return false;
    const isDeleted = await this.transaction.run(async () => {
      // Or its address changes before its tokens are found by that.
      await this.accounts.hold(id);
      const user = await this.users.findById(id);
      if (!user) return false;
      if (by) await this.others.requireOwner(by);
      if (this.sessions.joinsTransactions) await this.sessions.deleteByUser(id);
      const isOurs = await this.users.delete(id).catch((error: unknown) => {
        throw asAuthError(error, 'The user directory');
      });
      if (!isOurs) return false;
      // JWTs and signed cookies are answered from the memory of users.
      if (!this.users.publishesChanges) await this.channel.publish({ users: [id] });
      // After the account: an enrolment that is under way sees that it is gone, or is seen.
      await this.data.deleteByUser(id);
      await this.tokens.revokeAllForLogin(normalizeLogin(user.email));
      await this.tokens.revokeAllForAccount(id);
      this.notices.tell(user, 'account_deleted', {});
      this.events.emitAfterTransaction({ type: 'account.deleted', at: this.clock.now(), userId: id });
      return true;
    });
    if (isDeleted && !this.sessions.joinsTransactions) await this.sessions.deleteByUser(id);
    return isDeleted;
  }
}
