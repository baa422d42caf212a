import { Inject, Injectable } from '@nestjs/common';
import { asAuthError, isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { AuthEvents } from '../events/auth-events.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import { isActive } from '../user/account.js';
import { PasswordHasher } from '../user/password-hasher.js';
import { NO_PASSWORD, UserDirectory, type AuthUser } from '../user/user.directory.js';
import { EnrolledFactors } from './enrolled-factors.js';
import { PasswordWriter } from './password-writer.js';
import { WaysIn } from './ways-in.js';

/**
 * What a flow keeps by which an account can be used, beside passwords, sessions, second factors and identities at
 * providers: API keys. Whoever proves the mailbox of an account that nobody has proved before gets it without those.
 */
export abstract class GrantedAccess {
  /** Takes all of it from this account, as part of the transaction around it, and emits what it emits otherwise. */
  abstract drop(userId: string): Promise<unknown>;
}

/** The token by which they are injected: a list, of those of the flows that there are. */
export const GRANTED_ACCESS = Symbol('nestjs-latchkey.granted-access');

/** From when on what was added goes, in epoch ms. */
export interface AccessSince {
  readonly factorsSince: number;
  readonly identitiesSince: number;
  /** Of identities whose address at the provider is not that of the account. Default: `identitiesSince`. */
  readonly foreignIdentitiesSince?: number;
}

/** Where a proof of a mailbox comes from. */
export interface MailboxProofContext {
  readonly ip?: string | null;
  /** Whether a new password has just been written in the place of the one that was there. Default false. */
  readonly hasNewPassword?: boolean;
}

/**
 * Proofs that a mailbox is somebody's. An account whose address was never proved may have been prepared by somebody
 * else, who has set its password or enrolled a factor and waits for the owner of the address to come (CVE-2026-53516). So
 * the first proof ends all that there is: the password, sessions, JWTs, second factors, passkeys, API keys, identities.
 * The owner hears of it by mail.
 *
 * An account is one of those while its `emailVerifiedAt` is `null`: in a row of another program, or made by
 * `PostgresUserDirectory.create`. A directory that leaves it out has none.
 */
@Injectable()
export class MailboxProofs {
  constructor(
    private readonly users: UserDirectory,
    private readonly hasher: PasswordHasher,
    private readonly passwords: PasswordWriter,
    private readonly factors: EnrolledFactors,
    private readonly waysIn: WaysIn,
    @Inject(GRANTED_ACCESS) private readonly granted: readonly GrantedAccess[],
    private readonly notices: OwnerNotices,
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * The owner of the account's mailbox has just proved it, and nothing else: by a link, a code or a provider whose word
   * counts for it. Returns the account as it is now; `user` itself if the mailbox was proved before. `null` if the
   * account was disabled, deleted or changed meanwhile: refuse then. Emits `email.verified`, and what it emits when a
   * factor, a session or a key ends.
   *
   * Call it in an `AuthTransaction`, with the token spent, before the session is opened; and `endOthers` after the
   * commit if it returned another object than `user`.
   *
   * @throws {AuthError} `UNSUPPORTED` if your `UserDirectory` says `null`, and lacks `verifyEmail` or the methods for
   *   passwords.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async accept(user: AuthUser, context: MailboxProofContext = {}): Promise<AuthUser | null> {
    if (!this.isUnproved(user)) return user;
    try {
      return await this.takeOver(user, context);
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }

  /**
   * As `accept`, by somebody who is logged in to the account: it is theirs, so nothing ends. Does nothing for a directory
   * that cannot record it.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async confirm(user: AuthUser, { ip = null }: Pick<MailboxProofContext, 'ip'> = {}): Promise<void> {
    if (!this.isUnproved(user)) return;
    try {
      await this.verify(user, ip);
    } catch (error) {
      if (isAuthError(error, 'UNSUPPORTED')) return;
      throw asAuthError(error, 'The user directory');
    }
  }

  /** What a storage of its own keeps, which takes no part in the transaction; its sessions are dead by then. */
  endOthers(userId: string): Promise<void> {
    return this.passwords.endOthers(userId);
  }

  /**
   * Takes the factors that were enrolled, and the identities that were linked, at these times (epoch ms) or later, and
   * tells their owner. Emits `factor.removed` and `identity.unlinked`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async removeAccess(user: AuthUser, since: AccessSince, ip: string | null = null): Promise<void> {
    for (const factor of await this.factors.removeSince(user, since.factorsSince)) {
      this.notices.tell(user, 'factor_removed', { factor });
      const of = { at: this.clock.now(), userId: user.id, factor, ip };
      this.events.emitAfterTransaction({ type: 'factor.removed', ...of });
    }
    const { identitiesSince, foreignIdentitiesSince = identitiesSince } = since;
    await this.waysIn.removeSince(user, { since: identitiesSince, foreignSince: foreignIdentitiesSince });
  }

  private isUnproved({ emailVerifiedAt }: AuthUser): boolean {
    return emailVerifiedAt === null && !this.config.flows.legacyVerified;
  }

  private async takeOver(user: AuthUser, { ip = null, hasNewPassword = false }: MailboxProofContext) {
    if (!hasNewPassword && !(await this.endAccess(user))) return null;
    // The account is locked by now: an enrolment that is under way is seen, or refused.
    await this.removeAccess(user, { factorsSince: 0, identitiesSince: 0 }, ip);
    for (const access of this.granted) await access.drop(user.id);
    if (!(await this.verify(user, ip))) return null;
    const proved = await this.users.findById(user.id);
    return isActive(proved) ? proved : null;
  }

  /** Of concurrent calls exactly one is true, unless there is no password. */
  private async endAccess(user: AuthUser): Promise<boolean> {
    const stored = await this.users.findPasswordHash(user.id);
    if (stored === null) return false;
    const had = stored !== NO_PASSWORD;
    // Not `NO_PASSWORD`: the owner may choose a new one by a mailed link.
    const ended = await this.passwords.replace(user.id, had ? this.hasher.unknown() : NO_PASSWORD, stored);
    if (ended && had) this.notices.tell(user, 'password_changed', {});
    return ended !== null;
  }

  private async verify(user: AuthUser, ip: string | null): Promise<boolean> {
    const verifiedAt = this.clock.now();
    if (!(await this.users.verifyEmail(user.id, { email: user.email, verifiedAt }))) return false;
    this.events.emitAfterTransaction({ type: 'email.verified', at: verifiedAt, userId: user.id, ip });
    return true;
  }
}
