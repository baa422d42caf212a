import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { AuthEvents } from '../events/auth-events.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import { SessionStore } from '../session/session.store.js';
import { isActive } from '../user/account.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { AccessRevocation } from './access-revocation.js';

/**
 * Writes the new password of an account, ends with it what the old one has opened, and tells the owner by mail. Whoever
 * calls it has proved that the owner wants that.
 */
@Injectable()
export class PasswordWriter {
  constructor(
    private readonly users: UserDirectory,
    private readonly sessions: SessionStore,
    private readonly access: AccessRevocation,
    private readonly notices: OwnerNotices,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * Call it in an `AuthTransaction`, and `endOthers` after the commit. Returns the account after the change; `null`, and
   * nothing is changed, if its hash is not `replaces` any more or it is disabled.
   */
  async write(userId: string, hash: string, replaces: string): Promise<AuthUser | null> {
    const user = await this.replace(userId, hash, replaces);
    if (user) this.notices.tell(user, 'password_changed', {});
    return user;
  }

  /** As `write`, for a caller that tells the owner, or has nothing to tell. */
  async replace(userId: string, hash: string, replaces: string): Promise<AuthUser | null> {
    if (!(await this.users.setPasswordHash(userId, hash, { replaces }))) return null;
    // After that, so that a login with the old password in between ends too.
    await this.access.endOf(userId, { isTold: true });
    // Our own directory has ended and told of them by then.
    if (this.sessions.joinsTransactions) await this.endStored(userId);
    const user = await this.users.findById(userId);
    return isActive(user) ? user : null;
  }

  /** What a storage of its own keeps, which takes no part in the transaction; its sessions are dead by then. */
  async endOthers(userId: string): Promise<void> {
    if (!this.sessions.joinsTransactions) await this.sessions.deleteByUser(userId);
  }

  async endStored(userId: string): Promise<void> {
    const count = await this.sessions.deleteByUser(userId);
    if (count === 0) return;
    const of = { userId, handle: null, reason: 'password_changed', count } as const;
    this.events.emitAfterTransaction({ type: 'session.revoked', at: this.clock.now(), ...of });
  }
}
