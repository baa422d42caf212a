import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { AuthEvents } from '../events/auth-events.js';
import { LoginService, type TokenTransport } from '../login/login.service.js';
import { PasswordAttempts } from '../login/password-attempts.js';
import type { CookieValue } from '../login/session-scheme.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { rateLimited, RateLimitService } from '../rate-limit/rate-limit.service.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import type { SessionContext } from '../session/session.service.js';
import { countsFrom, isLive, isSelfContained, type Session } from '../session/session.js';
import { SessionStore } from '../session/session.store.js';
import { isActive, isBeforeCutoff } from '../user/account.js';
import { PasswordHasher } from '../user/password-hasher.js';
import { NewPasswords } from '../user/new-passwords.js';
import { invalidPassword } from '../user/password-policy.js';
import { checkedUserId } from '../user/checked-user-id.js';
import { NO_PASSWORD, UserDirectory, type AuthUser } from '../user/user.directory.js';
import { PasswordWriter } from '../login/password-writer.js';

/** Where a change of password comes from, and which session survives it. */
export interface PasswordChangeContext extends SessionContext {
  /** The live session of this user in which the password is changed. Default: none survives. */
  keep?: Session;
  /** How the client holds that session. Default `cookie`. */
  transport?: TokenTransport;
}

/** A changed password. */
export interface ChangedPassword {
  /** The account after the change. */
  readonly user: AuthUser;
  /**
   * The new value of the kept session's cookie, or its new bearer token, shown only this once. `null` without `keep`, and
   * after a first password, which ends that session too: its user logs in.
   */
  readonly credential: CookieValue | null;
}

/**
 * Changes a password for its owner, who proves the current one (OWASP ASVS 6.2.3), and ends every other session and
 * token of the account (7.4.3). A stolen session alone cannot do it: `password_change` and `password.maxFailures` bound
 * the guesses. With a `mailer` the owner is told.
 *
 * @example
 * ```ts
 * const { credential } = await passwords.changePassword(user.id, password, 'a better passphrase', {
 *   keep: current, // the session of the request
 *   transport: 'bearer',
 *   ip,
 * });
 * return { token: credential?.value ?? null }; // the old token is refused from now on
 * ```
 */
@Injectable()
export class PasswordChangeService {
  constructor(
    private readonly users: UserDirectory,
    private readonly hasher: PasswordHasher,
    private readonly newPasswords: NewPasswords,
    private readonly attempts: PasswordAttempts,
    private readonly limits: RateLimitService,
    private readonly logins: LoginService,
    private readonly sessions: SessionStore,
    private readonly revocation: TokenRevocationService,
    private readonly transaction: AuthTransaction,
    private readonly passwords: PasswordWriter,
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * Sets the password to `next` if `current` is the right one. Then every session, JWT and signed cookie of the user
   * ends. In place of `keep`, unless it was a first password, there is a new session with a full lifetime and a new handle, since its user has just
   * proved who they are; its old token is refused at once. Of concurrent calls with the same `current` exactly one
   * succeeds. Emits `password.changed`, and tells the owner by mail.
   *
   * An account without a password gets its first one with `null` for `current`, in a session whose user has proved who
   * they are within `flows.freshness` (default 15 minutes): pass it as `keep`.
   *
   * All of it is one transaction: after an error nothing has changed but the counts. With an `engine` other than
   * PostgreSQL the sessions follow the commit, and the old ones are dead by then; `credential` is `null` if the kept one
   * was ended meanwhile, and if the engine fails, its client has to log in again. A `UserDirectory` of your own is part
   * of the transaction only if its statements are. Call it outside of an `AuthTransaction`: it hashes.
   *
   * @throws {AuthError} `INVALID_CREDENTIALS` if `current` is wrong or no longer the password, its attempts are used up,
   *   or the account is unknown or disabled: all alike, after the same work.
   * @throws {AuthError} `STEP_UP_REQUIRED` for a first password without a fresh session.
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string or empty, `current` is not a string, or is `null`
   *   though the account has a password, or `next` is no text; nothing is counted.
   * @throws {AuthError} `WEAK_PASSWORD` if the `PasswordPolicy` refuses `next`; nothing is counted.
   * @throws {AuthError} `SESSION_NOT_FOUND` if `keep` is another user's, or has ended.
   * @throws {AuthError} `RATE_LIMITED` after `password_change` attempts (default 5 in 15 minutes), right or wrong.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing is counted.
   * @throws {AuthError} `UNSUPPORTED` if your `UserDirectory` lacks `findPasswordHash` or `setPasswordHash`, or, with
   *   signed cookies or JWT sessions, `invalidateTokens`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async changePassword(
    userId: string,
    current: string | null,
    next: string,
    context: PasswordChangeContext = {},
  ): Promise<ChangedPassword> {
    checkedUserId(userId);
    const { keep, ip = null } = context;
    if (typeof current !== 'string' && current !== null) throw currentMissing();
    if (typeof next !== 'string') throw invalidPassword('newPassword', 'must be a string');
    if (keep && !(await this.isKeepable(keep, userId))) throw sessionNotFound();
    if (current === null) return this.setFirst(userId, next, context);
    const decision = await this.limits.consume('password_change', userId);
    if (!decision.allowed) throw rateLimited(decision);
    try {
      const account = await this.users.findById(userId);
      // Before the current one: an answer that costs no hash.
      await this.newPasswords.accept(next, { userId, email: account?.email }, 'newPassword');
      const verified = await this.verify(userId, account, current, ip);
      return await this.replace(userId, verified, await this.hasher.hash(next, { ip }), context);
    } catch (error) {
      const fault = asAuthError(error, 'The user directory');
      // Best effort: if it fails, one attempt too many is counted.
      if (fault.code !== 'INVALID_CREDENTIALS') await this.limits.refund(decision).catch(() => false);
      throw fault;
    }
  }

  /** A stolen session must not set the password of an account that has none (SpringUserFramework#328). */
  private async setFirst(userId: string, next: string, context: PasswordChangeContext): Promise<ChangedPassword> {
    try {
      const stored = await this.users.findPasswordHash(userId);
      if (stored !== null && stored !== NO_PASSWORD) throw currentMissing();
      if (stored === null) refuse();
      this.requireFresh(context.keep);
      const account = await this.users.findById(userId);
      await this.newPasswords.accept(next, { userId, email: account?.email }, 'newPassword');
      const hash = await this.hasher.hash(next, { ip: context.ip });
      return await this.replace(userId, stored, hash, context, { isProved: false });
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }

  private requireFresh(keep: Session | undefined): void {
    const { freshness } = this.config.flows;
    if (keep && this.clock.now() - keep.authenticatedAt < freshness) return;
    const message =
      'A first password needs a session whose user has proved lately who they are: let them log in again.';
    const required = { maxAge: Math.floor(freshness / 1000) };
    throw new AuthError('STEP_UP_REQUIRED', message, { required, methods: [] });
  }

  /** The hash that the password belongs to. */
  private async verify(userId: string, account: AuthUser | null, password: string, ip: string | null): Promise<string> {
    const login = account?.email ?? userId;
    let verified: string | null = null;
    await this.attempts.judge(account, { login, ip, isKnownDevice: false }, async (isDisabled) => {
      const stored = await this.users.findPasswordHash(userId);
      const compared = isDisabled || !isActive(account) ? null : stored;
      if (await this.hasher.matches(compared, password, { login, ip })) verified = compared;
      return verified === null ? null : account;
    });
    return verified ?? refuse();
  }

  private async replace(
    userId: string,
    verified: string,
    hash: string,
    { keep, ...context }: PasswordChangeContext,
    { isProved = true }: { isProved?: boolean } = {},
  ): Promise<ChangedPassword> {
    const { joinsTransactions } = this.sessions;
    const isClaimedFirst = keep !== undefined && (joinsTransactions || isSelfContained(keep));
    // To choose a password proves nothing, and a session that takes the place of another is a fresh one.
    const isRenewed = keep !== undefined && isProved;
    const renewing = { ...context, remember: keep?.remembered, amr: keep?.amr };
    const changed = await this.transaction.run(async () => {
      // First: it locks the user's sessions, so that one that has ended meanwhile is noticed.
      if (keep && !(await (isClaimedFirst ? this.claim(keep) : this.isAfterCutoff(keep)))) throw sessionNotFound();
      const user = (await this.passwords.write(userId, hash, verified)) ?? refuse();
      const at = this.clock.now();
      const credential = isRenewed && joinsTransactions ? await this.logins.renew(user, renewing) : null;
      this.events.emitAfterTransaction({ type: 'password.changed', at, userId: user.id, ip: context.ip ?? null });
      return { user, credential };
    });
    if (joinsTransactions) return changed;
    const claimed = isClaimedFirst || (keep !== undefined && (await this.claim(keep)));
    await this.passwords.endOthers(userId);
    return claimed && isRenewed ? { ...changed, credential: await this.logins.renew(changed.user, renewing) } : changed;
  }

  private async isKeepable(keep: Session, userId: string): Promise<boolean> {
    if (keep.userId !== userId) return false;
    if (!isSelfContained(keep)) {
      const found = await this.sessions.find(keep.id);
      return found !== null && found.session.userId === userId && isLive(found, this.clock.now());
    }
    if (this.clock.now() >= keep.expiresAt || (await this.revocation.isRevoked(keep.id))) return false;
    return this.isAfterCutoff(keep);
  }

  /** Ends the session that is kept. False if it had ended already. */
  private async claim(keep: Session): Promise<boolean> {
    if (!isSelfContained(keep)) return (await this.sessions.delete([keep.id])).length > 0;
    // Takes the lock of everything that moves the cutoff, so that the one read after it stays.
    if (this.sessions.joinsTransactions) await this.passwords.endStored(keep.userId);
    return (await this.isAfterCutoff(keep)) && this.revocation.revoke(keep.id, keep.absoluteExpiresAt);
  }

  private async isAfterCutoff(keep: Session): Promise<boolean> {
    const user = await this.users.findById(keep.userId);
    return !isBeforeCutoff(countsFrom(keep), user?.tokensInvalidatedAfter);
  }
}

function currentMissing(): AuthError {
  return invalidPassword('currentPassword', 'must be a string');
}

function refuse(): never {
  throw new AuthError('INVALID_CREDENTIALS', 'Unknown account, wrong password or disabled account.', {});
}

function sessionNotFound(): AuthError {
  return new AuthError(
    'SESSION_NOT_FOUND',
    'The session to keep has ended, or is not of this user: pass the live session of the request as keep.',
    {},
  );
}
