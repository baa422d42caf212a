import { Injectable, Optional } from '@nestjs/common';
import { asAuthError, AuthError, isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { days } from '../common/duration.js';
import { later } from '../common/instant.js';
import { AuthConfig } from '../config/auth-config.js';
import type { EphemeralTokenFields } from '../config/ephemeral-token-settings.js';
import { randomToken } from '../crypto/random.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { AuthEvents } from '../events/auth-events.js';
import type { MailDraft } from '../mail/mail.js';
import { Outbox } from '../mail/outbox.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import { SessionStore } from '../session/session.store.js';
import { isActive } from '../user/account.js';
import { normalizeLogin } from '../user/login-name.js';
import { PasswordHasher } from '../user/password-hasher.js';
import { NO_PASSWORD, UserDirectory, type AuthUser } from '../user/user.directory.js';
import { MailboxProofs } from './mailbox-proofs.js';

/** The links by which an owner takes back what somebody else has done. */
export type RecoveryLink = 'email_revert' | 'factor_revert';

const LOOKS = 3;

/** How long before the change that is taken back a thief may have come: as long as the owner has to take it back. */
const BEFORE = days(7);

/** What is taken back. */
interface Undoing {
  /** The address that the account had; `null`: it keeps the one that it has. */
  readonly address: string | null;
  /** Epoch ms: the tokens of the account that were issued since are void. */
  readonly since: number;
  /** Epoch ms: second factors that were enrolled since go. */
  readonly factorsSince: number;
  /** Epoch ms: identities at providers that were linked since go. */
  readonly identitiesSince: number;
  /** Epoch ms: the same of those whose address is not the account's, which a thief may have linked first. */
  readonly foreignIdentitiesSince: number;
}

/**
 * Takes an account back from a thief ("this was not me"): the owner of a mailbox undoes what has been done since a mail.
 *
 * Every session, JWT, signed cookie, API key and mailed link ends, the password opens the account no longer and a link for
 * a new one is mailed, second factors and identities at providers that have come since go, and no browser is trusted any
 * more. So do identities with another address that were linked in the week before: they outlive a new password, and a
 * thief may have linked one first. It opens no session (OWASP ASVS 6.4.2).
 */
@Injectable()
export class AccountRecovery {
  constructor(
    private readonly users: UserDirectory,
    private readonly mailboxes: MailboxProofs,
    private readonly tokens: EphemeralTokenService,
    private readonly sessions: SessionStore,
    private readonly revocation: TokenRevocationService,
    private readonly hasher: PasswordHasher,
    private readonly transaction: AuthTransaction,
    private readonly notices: OwnerNotices,
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    // Without a mailer there are no links.
    @Optional() private readonly outbox?: Outbox,
  ) {}

  /**
   * The link to an address that was changed brings that back (`email_revert`). The link about the first second factor of an
   * account (`factor_revert`) removes all factors, since there were none before; where `flows.emailChange` is on, which
   * gives an old mailbox the same power, it also brings back the address that the mail went to.
   *
   * All of it is one transaction: after an error nothing has changed, and the link can be used again. Of concurrent calls
   * with one token exactly one succeeds. Emits `email.reverted`, `factor.reverted` and `factor.removed` for each method.
   *
   * @throws {AuthError} `INVALID_LINK` if the token cannot be used, or the address is taken by now: nothing has changed.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed: nothing has changed.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer: nothing has changed.
   */
  async takeBack(type: RecoveryLink, token: string): Promise<AuthUser> {
    const link = await this.tokens.peek(type, token);
    if (!link) throw invalidLink();
    // Before the transaction, which holds a connection.
    const useless = await this.hasher.hash(randomToken().toString('base64url'));
    const owner = await this.transaction.run(async () => {
      const user = await this.locked(link.account);
      const undo = await this.tokens.consume(type, token);
      if (!undo || !user) throw invalidLink();
      const owner = await this.undo(user, this.undoing(user, undo), useless);
      const of = { at: this.clock.now(), userId: user.id };
      if (type === 'factor_revert') this.events.emitAfterTransaction({ type: 'factor.reverted', ...of });
      return owner;
    });
    if (!this.sessions.joinsTransactions) await this.sessions.deleteByUser(owner.id);
    return owner;
  }

  /** Now, but after the last change of the address, whichever clock has told that: it says which of two was earlier. */
  next(user: AuthUser): number {
    return later(this.clock.now(), user.emailVerifiedAt);
  }

  /**
   * The account as it is once nobody else changes it: a thief who moves it at the same moment has moved it by then, or no
   * longer can. `null` if it is gone or disabled, or changes with every look.
   */
  private async locked(id: string): Promise<AuthUser | null> {
    for (let look = 0; look < LOOKS; look++) {
      const user = await this.users.findById(id);
      if (!isActive(user)) return null;
      const isLocked = await this.users.confirmLogin(user, this.clock.now()).catch((error: unknown) => {
        throw asAuthError(error, 'The user directory');
      });
      if (isLocked) return this.users.findById(id);
    }
    return null;
  }

  private undoing(
    { email }: AuthUser,
    undo: EphemeralTokenFields['email_revert'] | EphemeralTokenFields['factor_revert'],
  ): Undoing {
    if ('changedAt' in undo) {
      const { from, changedAt } = undo;
      // Of an account whose address nobody had proved, nothing is known to be the owner's.
      const accessSince = undo.wasUnproved ? 0 : changedAt;
      return {
        address: from,
        since: changedAt,
        factorsSince: accessSince,
        identitiesSince: accessSince,
        foreignIdentitiesSince: accessSince - BEFORE,
      };
    }
    const isMoved = normalizeLogin(email) !== normalizeLogin(undo.email);
    const address = isMoved && this.config.flows.emailChange ? undo.email : null;
    // At that time the account had none: whatever there is has come since, whichever clock has dated it.
    const { addedAt: since } = undo;
    return { address, since, factorsSince: 0, identitiesSince: since, foreignIdentitiesSince: since - BEFORE };
  }

  private async undo(user: AuthUser, undoing: Undoing, useless: string): Promise<AuthUser> {
    const { address, since } = undoing;
    const had = await this.passwordOf(user);
    const owner = address === null ? user : await this.moveBack(user, address);
    if (had !== null) await this.users.setPasswordHash(user.id, had === NO_PASSWORD ? NO_PASSWORD : useless);
    await this.revocation.endStateless(user.id, { isTold: false });
    if (this.sessions.joinsTransactions) await this.sessions.deleteByUser(user.id);
    // With the account locked, an enrolment that is under way is seen, or refused. Before the tokens are void: another
    // storage does not give them back after a fault.
    await this.mailboxes.removeAccess(owner, undoing);
    for (const login of new Set([user.email, owner.email])) await this.tokens.revokeAllForLogin(login);
    // Not the earlier ones: a thief who moves the account twice gets the later one, and must not void the owner's.
    await this.tokens.revokeAllForAccount(user.id, { since });
    if (address !== null) {
      this.notices.tell({ id: user.id, email: user.email }, 'email_reverted', {});
      this.events.emitAfterTransaction({ type: 'email.reverted', at: this.clock.now(), userId: user.id });
    }
    if (had !== null && had !== NO_PASSWORD) this.outbox?.post(() => this.resetMail(owner));
    return owner;
  }

  /** `null` in a directory without passwords of its own: there is none that could be made useless. */
  private async passwordOf({ id }: AuthUser): Promise<string | null> {
    try {
      return await this.users.findPasswordHash(id);
    } catch (error) {
      if (isAuthError(error, 'UNSUPPORTED')) return null;
      throw asAuthError(error, 'The user directory');
    }
  }

  private async moveBack(user: AuthUser, address: string): Promise<AuthUser> {
    const change = { from: user.email, to: normalizeLogin(address), verifiedAt: this.next(user) };
    const outcome = await this.users.setEmail(user.id, change).catch((error: unknown) => {
      throw asAuthError(error, 'The user directory');
    });
    const moved = outcome === 'done' ? await this.users.findById(user.id) : null;
    if (!moved) throw invalidLink();
    return moved;
  }

  /** No quota: whoever has the link is the owner, and this is the only way back in. */
  private async resetMail(user: AuthUser): Promise<MailDraft> {
    const token = await this.tokens.issue('password_reset', { username: normalizeLogin(user.email) });
    const { ttl } = this.config.ephemeralTokens.get('password_reset')!;
    return { kind: 'password_reset', to: user.email, userId: user.id, facts: { token, validFor: ttl }, retries: true };
  }
}

function invalidLink(): AuthError {
  return new AuthError('INVALID_LINK', 'The link is unknown, spent, expired or replaced by a newer one.', {});
}
