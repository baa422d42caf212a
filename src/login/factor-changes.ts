import { Injectable, Optional } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { later } from '../common/instant.js';
import { AuthConfig } from '../config/auth-config.js';
import { AuthEvents } from '../events/auth-events.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import type { MailedFactor } from '../mail/mail.js';
import { Outbox } from '../mail/outbox.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import type { Session } from '../session/session.js';
import { isActive } from '../user/account.js';
import { normalizeLogin } from '../user/login-name.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { EnrolledFactors } from './enrolled-factors.js';
import { FactorProofs, refusedFactor } from './factor-proofs.js';
import { OtherSessions, type GoingOn } from './other-sessions.js';
import { PendingLogins } from './pending-logins.js';
import type { TokenTransport } from './login.service.js';
import type { FactorClaim } from './second-factor.js';
import type { CookieValue } from './session-scheme.js';
import { StepUpMethods } from './step-up-methods.js';
import { TrustedBrowsers } from './trusted-browsers.js';

/** Who may change the factors of an account. */
export interface FactorOwner {
  /** As the account was when the session, or the first factor of the login, was found. */
  readonly user: AuthUser;
  /** The session in which it is done; `null` for a login that is held until its user has enrolled the first factor. */
  readonly session: Session | null;
  /** The client's address, if known. */
  readonly ip?: string | null | undefined;
  /** What the client says that it is, if known. */
  readonly userAgent?: string | null | undefined;
  /** How the client holds the session. Default `cookie`. */
  readonly transport?: TokenTransport | undefined;
}

/** A change of one factor. */
export interface FactorChange {
  /** The method of the factor, such as `totp`. */
  readonly factor: string;
  /** What its user calls it, for the mail, if it has a name; asked once it is written. */
  readonly name?: (() => string) | undefined;
  readonly how: 'added' | 'replaced' | 'removed';
  /** Two factors, whether the account has them or not. Default: as much as the account can prove. */
  readonly demands?: { readonly aal: 2 } | undefined;
  /**
   * Finds out whether the response to a new factor is right; a wrong one counts in `2fa_attempt`. Default: there is
   * nothing to prove.
   */
  readonly verify?: () => Promise<false | FactorClaim>;
  /** Writes it; false if there was nothing to change. What it throws undoes everything, the spent response too. */
  readonly write: (state: AccountState) => Promise<boolean>;
}

/** An account, once it is locked. */
export interface AccountState {
  /** As it is now: since it was found its address may have changed. */
  readonly user: AuthUser;
  /** Whether it has no factor. */
  readonly isFirst: boolean;
  /**
   * Now, but after the last change of the address, whichever clock has told that: taking that back takes back what has
   * come since. Epoch ms.
   */
  readonly at: number;
}

/** What becomes of the sessions, and whether that is part of the transaction. */
interface Ending<T> {
  readonly isJoined: boolean;
  readonly end: (isChanged: boolean) => Promise<T>;
}

/**
 * Changes of the second factors of an account, of every kind and all in the same way (OWASP ASVS 7.5.1, 7.4.3, 6.3.7):
 *
 * - Whoever asks must have proved lately as much as the account can: a stolen session that is older adds nothing, and none
 *   that has left out the second step.
 * - That is judged again in the transaction that writes, with the account locked: no factor comes beside one that was added
 *   meanwhile and not proved, nor after everything of the account, or this session, has ended.
 * - The other sessions and all trusted browsers end, and the owner is told by mail.
 * - The mail about the first factor of an account has a link that takes it back, with all that came since (`factor_revert`,
 *   `AccountRecovery`). Where there is no factor, a stolen session that is still fresh is enough to add one, and a reset of
 *   the password leaves it.
 */
@Injectable()
export class FactorChanges {
  constructor(
    private readonly users: UserDirectory,
    private readonly factors: EnrolledFactors,
    private readonly proofs: FactorProofs,
    private readonly stepUps: StepUpMethods,
    private readonly sessions: OtherSessions,
    private readonly trusted: TrustedBrowsers,
    private readonly pending: PendingLogins,
    private readonly revocation: TokenRevocationService,
    private readonly transaction: AuthTransaction,
    private readonly tokens: EphemeralTokenService,
    private readonly notices: OwnerNotices,
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    // Without a mailer nobody is told.
    @Optional() private readonly outbox?: Outbox,
  ) {}

  /**
   * Whether this session may change factors now. Ask before slow work; each change asks again.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if it is not fresh, or has proved less than the account can.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  demand(session: Session, demands?: FactorChange['demands']): Promise<void> {
    return demands ? this.stepUps.demand(session, demands) : this.stepUps.demandMost(session);
  }

  /**
   * The account of a session as it is now.
   *
   * @throws {AuthError} `UNAUTHENTICATED` if it is gone or disabled.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async ownerOf({ userId }: Session): Promise<AuthUser> {
    try {
      const user = await this.users.findById(userId);
      if (isActive(user)) return user;
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
    throw new AuthError('UNAUTHENTICATED', 'The account of the session is gone, or disabled.', {});
  }

  /**
   * A change after which the session goes on with the token that it has: returns `null`. Where there are sessions that no
   * row stands for, such as JWTs, it ends with those: returns its new token.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED`, `UNAUTHENTICATED`, `SECOND_FACTOR_REFUSED`, `RATE_LIMITED` as the change asks.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing has changed.
   */
  keeping(owner: FactorOwner & { readonly session: Session }, change: FactorChange): Promise<CookieValue | null> {
    const { user, session, ip = null, userAgent = null, transport } = owner;
    const { amr: proofs, authenticatedAt } = session;
    const context = { ip, userAgent, transport, proofs, authenticatedAt };
    return this.make(owner, change, {
      isJoined: this.sessions.areJoined(session),
      end: async (isChanged) => (isChanged ? this.sessions.endKeeping(user, session, context) : null),
    });
  }

  /**
   * A change after which the session has a new token: returns it.
   *
   * @throws {AuthError} as `keeping`.
   */
  replacing(
    owner: FactorOwner & { readonly session: Session },
    change: FactorChange,
    context: GoingOn,
  ): Promise<CookieValue> {
    const { user, session } = owner;
    return this.make(owner, change, {
      isJoined: this.sessions.areJoined(session),
      end: () => this.sessions.endReplacing(user, session, context),
    });
  }

  /**
   * The first factor of an account, by which a held login is completed: `finish` is part of the transaction. It spends the
   * login, then ends all sessions, which are older than the factor, and opens its own for the account as it is then.
   *
   * @throws {AuthError} as `keeping`; `SECOND_FACTOR_REFUSED` too if the account has a factor by now.
   */
  completing<T>(
    owner: Omit<FactorOwner, 'session'>,
    change: FactorChange,
    finish: (endAll: () => Promise<AuthUser>) => Promise<T>,
  ): Promise<T> {
    const endAll = () => this.sessions.endAllOf(owner.user);
    return this.make({ ...owner, session: null }, change, { isJoined: true, end: () => finish(endAll) });
  }

  private async make<T>(owner: FactorOwner, change: FactorChange, { isJoined, end }: Ending<T>): Promise<T> {
    const { factor: method, verify } = change;
    const { user, ip = null } = owner;
    const work = async () => {
      const isChanged = await this.apply(owner, change);
      return { isChanged, ended: isJoined ? { value: await end(isChanged) } : null };
    };
    try {
      const { isChanged, ended } = verify
        ? await this.proofs.judge(user, { method, ip }, verify, { work })
        : await this.transaction.run(work);
      return ended ? ended.value : await end(isChanged);
    } catch (error) {
      throw asAuthError(error, 'A second factor');
    }
  }

  private async apply(owner: FactorOwner, change: FactorChange): Promise<boolean> {
    const state = await this.confirm(owner, change);
    if (!(await change.write(state))) return false;
    const { user } = state;
    await this.trusted.forget(user.id);
    const { factor, how } = change;
    const told = { factor, name: change.name?.() };
    // A login that was begun by what counts no longer.
    if (how === 'removed') await this.pending.endAllOf(user);
    const { ip = null } = owner;
    const type = how === 'removed' ? 'factor.removed' : 'factor.added';
    this.events.emitAfterTransaction({ type, at: this.clock.now(), userId: user.id, factor, ip });
    if (how === 'replaced') this.notices.tell(user, 'backup_codes_replaced', {});
    else if (how === 'added' && state.isFirst) await this.tellOfFirst(state, told);
    else this.notices.tell(user, `factor_${how}`, told);
    return true;
  }

  /** Once more, under the lock of the account. */
  private async confirm({ user: found, session }: FactorOwner, { demands }: FactorChange): Promise<AccountState> {
    await this.revocation.confirmOwner(found);
    const user = (await this.users.findById(found.id)) ?? found;
    const isFirst = (await this.factors.methodsOf(user)).length === 0;
    if (session) {
      await this.sessions.requireLive(session);
      await this.demand(session, demands);
    } else if (!isFirst) {
      throw refusedFactor();
    }
    return { user, isFirst, at: later(this.clock.now(), user.emailVerifiedAt) };
  }

  private async tellOfFirst({ user, at: addedAt }: AccountState, told: MailedFactor): Promise<void> {
    const { id, email } = user;
    if (!this.outbox) return;
    const fields = { account: id, email: normalizeLogin(email), addedAt };
    const token = await this.tokens.issue('factor_revert', fields, { issuedAt: addedAt });
    const { ttl: validFor } = this.config.ephemeralTokens.get('factor_revert')!;
    // The only way back: nobody can ask for it again.
    const facts = { token, validFor, ...told };
    this.outbox.post({ kind: 'first_factor_added', to: email, userId: id, facts, retries: true });
  }
}
