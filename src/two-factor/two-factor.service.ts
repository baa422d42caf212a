import { createHmac } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { renderSVG } from 'uqr';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { sha256Hex } from '../crypto/hash.js';
import { KeyRing } from '../crypto/key-ring.js';
import { randomToken } from '../crypto/random.js';
import { SealedText } from '../crypto/sealed-text.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { AuthEvents } from '../events/auth-events.js';
import { TrustedBrowsers } from '../login/trusted-browsers.js';
import { joinedProofs } from '../login/assurance.js';
import { EnrolledFactors } from '../login/enrolled-factors.js';
import { FactorProofs, refusedFactor } from '../login/factor-proofs.js';
import { LoginService, type TokenTransport } from '../login/login.service.js';
import {
  SecondFactorLoginService,
  type EnrollingLogin,
  type HeldLoginContext,
  type PresentedLogin,
  type SecondFactorLogin,
} from '../login/second-factor-login.js';
import type { CookieValue } from '../login/session-scheme.js';
import { StepUpMethods } from '../login/step-up-methods.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import { SessionService, type SessionContext } from '../session/session.service.js';
import { isSelfContained, type Session } from '../session/session.js';
import { SessionStore } from '../session/session.store.js';
import { isActive } from '../user/account.js';
import { normalizeLogin } from '../user/login-name.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { BackupCodeFactor } from './backup-code.factor.js';
import { base32, fromBase32 } from './base32.js';
import { matchingStep, TOTP_SECRET_BYTES, totpUri } from './totp.js';
import { TotpFactor } from './totp.factor.js';
import { TotpStore } from './totp.store.js';

/** The second factors of a user. */
export interface TwoFactorStatus {
  /** The methods that the user is asked for. */
  readonly methods: readonly string[];
  /** Whether too many wrong codes have disabled the authenticator app. */
  readonly isTotpDisabled: boolean;
  readonly backupCodesLeft: number;
  /** How many browsers the second step is left out in. */
  readonly trustedBrowsers: number;
}

/** A secret for an authenticator app, shown only this once. */
export interface TotpSetup {
  /** Base32, for typing. */
  readonly secret: string;
  /** `otpauth://…`, for a link on a phone. */
  readonly uri: string;
  /** The same as the picture of a QR code: an SVG without script or style. */
  readonly qr: string;
}

/** Where a change of the factors comes from. */
export interface TwoFactorContext extends SessionContext {
  /** How the client holds the session. Default `cookie`. */
  transport?: TokenTransport;
}

/** Changed factors, and what the session goes on with. */
export interface ChangedFactors {
  readonly user: AuthUser;
  /** The new value of the session's cookie, or its new bearer token, shown only this once. The old one is refused. */
  readonly credential: CookieValue;
  /** The new backup codes, shown only this once; empty if none were made. */
  readonly backupCodes: readonly string[];
}

const PURPOSE = 'totp-setup';

/**
 * The second factors of `flows.twoFactor`: who has which, and how they get and lose them. A session that asks must be
 * fresh (`flows.freshness`) and, where the account has a factor already, of two factors. With each change all other
 * sessions of the account end, this one gets a new token, and with a `mailer` the owner is told.
 *
 * @example
 * ```ts
 * const { secret, qr } = await twoFactor.setUpTotp(current); // shown once; nothing has changed yet
 * const { backupCodes, credential } = await twoFactor.enableTotp(current, code, { ip });
 * ```
 */
@Injectable()
export class TwoFactorService {
  private readonly sealed: SealedText;

  constructor(
    private readonly users: UserDirectory,
    private readonly factors: EnrolledFactors,
    private readonly trusted: TrustedBrowsers,
    private readonly totp: TotpFactor,
    private readonly totps: TotpStore,
    private readonly backupCodes: BackupCodeFactor,
    private readonly proofs: FactorProofs,
    private readonly methods: StepUpMethods,
    private readonly logins: LoginService,
    private readonly held: SecondFactorLoginService,
    private readonly tokens: EphemeralTokenService,
    private readonly sessions: SessionService,
    private readonly store: SessionStore,
    private readonly revocation: TokenRevocationService,
    private readonly transaction: AuthTransaction,
    private readonly notices: OwnerNotices,
    private readonly keys: KeyRing,
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {
    this.sealed = new SealedText(keys.forPurpose(PURPOSE));
  }

  /**
   * What this user has. No secret is among it.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  async statusOf(user: AuthUser): Promise<TwoFactorStatus> {
    const totp = await this.totps.find(user.id);
    return {
      methods: await this.factors.methodsOf(user),
      isTotpDisabled: totp?.isDisabled ?? false,
      backupCodesLeft: await this.backupCodes.countUnused(user.id),
      trustedBrowsers: await this.trusted.count(user),
    };
  }

  /**
   * A new secret for an authenticator app. Until a code has proved it, by `enableTotp` within ten minutes and in the same
   * session, nothing has changed: an app that the user has already goes on. A later call replaces the secret.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session is not fresh, or not of two factors where the account has one.
   * @throws {AuthError} `UNAUTHENTICATED` if the account is gone.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async setUpTotp(session: Session): Promise<TotpSetup> {
    const { user } = await this.enrollerOf(session);
    return this.setUp(user, session.handle);
  }

  /**
   * As `setUpTotp`, for a login that is held because its user must enrol a factor.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a token that cannot be used, and if the account has a factor by now.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async setUpTotpFor(login: PresentedLogin): Promise<TotpSetup> {
    const { user } = await this.held.enrolling(login);
    return this.setUp(user, sha256Hex(login.token));
  }

  /**
   * Proves the secret of `setUpTotp` with a code of it, and puts it in place of the one before. The code counts as used.
   * The session is one of two factors from now on, all others end, and there are new backup codes. Wrong codes count in
   * `2fa_attempt` together with those of logins. Emits `factor.added`.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a wrong code, and without a secret that was set up in this session.
   * @throws {AuthError} `STEP_UP_REQUIRED` as with `setUpTotp`.
   * @throws {AuthError} `UNAUTHENTICATED` if the session has ended, or has got another token meanwhile.
   * @throws {AuthError} `RATE_LIMITED` after `2fa_attempt` wrong ones (default 5 in 15 minutes).
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing has changed.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing has changed.
   */
  async enableTotp(session: Session, code: string, context: TwoFactorContext = {}): Promise<ChangedFactors> {
    const { user, isFirst } = await this.enrollerOf(session);
    const authenticatedAt = this.clock.now();
    return this.enable(user, session.handle, code, {
      isFirst,
      ip: context.ip ?? null,
      isJoined: this.isJoined(session),
      work: async (backupCodes) => ({
        user,
        credential: await this.replace(user, session, ['totp'], { ...context, authenticatedAt }),
        backupCodes,
      }),
    });
  }

  /**
   * As `enableTotp`, for a login that is held because its user must enrol a factor: it is completed with it. Emits
   * `login.succeeded` too.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a wrong code, a token that cannot be used, and if the account has a
   *   factor by now.
   * @throws {AuthError} `RATE_LIMITED` after `2fa_attempt` wrong ones (default 5 in 15 minutes).
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing has changed.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing has changed.
   */
  async enableTotpFor(
    login: PresentedLogin,
    code: string,
    context: HeldLoginContext = {},
  ): Promise<SecondFactorLogin & { readonly backupCodes: readonly string[] }> {
    const enrolling: EnrollingLogin = await this.held.enrolling(login);
    const { user } = enrolling;
    return this.enable(user, sha256Hex(login.token), code, {
      isFirst: true,
      ip: context.ip ?? null,
      isJoined: true,
      work: async (backupCodes) => {
        // Those that are older than the factor.
        await this.sessions.revokeAllForUser(user.id);
        return { ...(await this.held.finish(enrolling, 'totp', context)), backupCodes };
      },
    });
  }

  /**
   * Removes the authenticator app, and with the last factor the backup codes. Emits `factor.removed`.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session is not fresh, or not of two factors.
   * @throws {AuthError} `UNAUTHENTICATED` if the session has ended, or has got another token meanwhile.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing has changed.
   */
  async disableTotp(session: Session, context: TwoFactorContext = {}): Promise<ChangedFactors> {
    await this.methods.demand(session, { aal: 2 });
    const user = await this.ownerOf(session);
    return this.change(
      session,
      async () => {
        const isRemoved = await this.totps.remove(user.id);
        const left = await this.factors.methodsOf(user);
        if (left.every((method) => method === this.backupCodes.method)) {
          await this.backupCodes.replace(user.id, { stored: [] });
        }
        await this.trusted.forget(user.id);
        if (isRemoved) this.tell(user, 'removed', this.totp.method, context);
      },
      () => this.replaced(user, session, context),
    );
  }

  /**
   * New backup codes; those before are void. Emits `factor.added`.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session is not fresh, or not of two factors.
   * @throws {AuthError} `UNAUTHENTICATED` if the session has ended, or has got another token meanwhile.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing has changed.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing has changed.
   */
  async regenerateBackupCodes(session: Session, context: TwoFactorContext = {}): Promise<ChangedFactors> {
    await this.methods.demand(session, { aal: 2 });
    const user = await this.ownerOf(session);
    const codes = await this.backupCodes.issue(context.ip ?? null);
    const replaced = await this.change(
      session,
      async () => {
        await this.backupCodes.replace(user.id, codes);
        await this.revocation.confirmOwner(user);
        await this.trusted.forget(user.id);
        const of = { userId: user.id, factor: this.backupCodes.method, ip: context.ip ?? null };
        this.events.emitAfterTransaction({ type: 'factor.added', at: this.clock.now(), ...of });
        this.notices.tell(user, 'backup_codes_replaced', {});
      },
      () => this.replaced(user, session, context),
    );
    return { ...replaced, backupCodes: codes.shown };
  }

  private async setUp(user: AuthUser, boundTo: string): Promise<TotpSetup> {
    const secret = base32(randomToken().subarray(0, TOTP_SECRET_BYTES));
    const sealedSecret = this.sealed.seal(secret, user.id);
    const fields = { username: normalizeLogin(user.email), challengeId: boundTo, sealedSecret };
    await this.tokens.issue('totp_setup', fields, { token: this.setupToken(boundTo) });
    const uri = totpUri(secret, { issuer: this.issuer, account: user.email });
    return { secret, uri, qr: renderSVG(uri) };
  }

  private async enable<T>(
    user: AuthUser,
    boundTo: string,
    code: string,
    {
      isFirst,
      ip,
      isJoined,
      work,
    }: { isFirst: boolean; ip: string | null; isJoined: boolean; work: (backupCodes: readonly string[]) => Promise<T> },
  ): Promise<T> {
    const token = this.setupToken(boundTo);
    const setup = await this.tokens.peek('totp_setup', token, boundTo);
    const secret = setup && this.sealed.open(setup.sealedSecret, user.id);
    if (!secret) throw refusedFactor();
    let shown: readonly string[] = [];
    const verify = async () => {
      const step = matchingStep(fromBase32(secret)!, code, this.clock.now());
      if (step === null) return false;
      const codes = await this.backupCodes.issue(ip);
      shown = codes.shown;
      return async () => {
        if (!(await this.tokens.consume('totp_setup', token, boundTo))) return false;
        await this.revocation.confirmOwner(user);
        // Once more: a factor may have been added meanwhile, which nobody has proved here.
        if (isFirst && (await this.factors.methodsOf(user)).length > 0) return false;
        if (!(await this.totp.put(user.id, secret, step, { isFirst }))) return false;
        await this.backupCodes.replace(user.id, codes);
        await this.trusted.forget(user.id);
        this.tell(user, 'added', this.totp.method, { ip });
        return true;
      };
    };
    return this.proofs.judge(user, { method: this.totp.method, ip }, verify, { work: () => work(shown), isJoined });
  }

  /** Whoever has a factor must have proved it: else a stolen session, or one from before it, would replace it. */
  private async enrollerOf(session: Session): Promise<{ user: AuthUser; isFirst: boolean }> {
    const user = await this.ownerOf(session);
    const isFirst = (await this.factors.methodsOf(user)).length === 0;
    await this.methods.demandMost(session);
    return { user, isFirst };
  }

  private async ownerOf({ userId }: Session): Promise<AuthUser> {
    try {
      const user = await this.users.findById(userId);
      if (isActive(user)) return user;
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
    throw ended();
  }

  /** Another storage does not take part in the transaction: were it rolled back, the session would have lost its token. */
  private isJoined(session: Session): boolean {
    return this.store.joinsTransactions || isSelfContained(session);
  }

  private async change<T>(session: Session, work: () => Promise<void>, replace: () => Promise<T>): Promise<T> {
    try {
      if (this.isJoined(session)) return await this.transaction.run(() => work().then(replace));
      await this.transaction.run(work);
      return await replace();
    } catch (error) {
      throw asAuthError(error, 'A second factor');
    }
  }

  private async replaced(user: AuthUser, session: Session, context: TwoFactorContext): Promise<ChangedFactors> {
    const { authenticatedAt } = session;
    const credential = await this.replace(user, session, session.amr, { ...context, authenticatedAt });
    return { user, credential, backupCodes: [] };
  }

  /** Ends all other sessions of the account, and gives this one a new token. */
  private async replace(
    user: AuthUser,
    session: Session,
    proofs: readonly string[],
    context: TwoFactorContext & { authenticatedAt: number },
  ): Promise<CookieValue> {
    if (!this.config.hasStatelessSessions) {
      const elevated = await this.logins.elevate(user, session, proofs, context);
      if (!elevated) throw ended();
      await this.sessions.revokeAllForUser(user.id, { except: elevated.session });
      return elevated.credential;
    }
    // What is stored nowhere ends by the cutoff of the account, and so does this session: there is a new one for it.
    const isClaimed = isSelfContained(session)
      ? await this.revocation.revoke(session.id, session.absoluteExpiresAt)
      : await this.sessions.revoke(session.id);
    if (!isClaimed) throw ended();
    await this.sessions.revokeAllForUser(user.id);
    await this.revocation.endStateless(user.id, { isTold: true });
    const changed = await this.ownerOf(session);
    const amr = joinedProofs(session.amr, proofs);
    return this.logins.renew(changed, { ...context, remember: session.remembered, amr, proofs: [] });
  }

  private tell(
    user: AuthUser,
    change: 'added' | 'removed',
    factor: string,
    { ip = null }: { ip?: string | null },
  ): void {
    const of = { userId: user.id, factor, ip };
    this.events.emitAfterTransaction({ type: `factor.${change}`, at: this.clock.now(), ...of });
    this.notices.tell(user, `factor_${change}`, { factor });
  }

  /** Nobody has to be given it: whoever presents the session, or the held login, has it with that. */
  private setupToken(boundTo: string): string {
    return createHmac('sha256', this.keys.forPurpose(PURPOSE)[0]).update(boundTo).digest('base64url');
  }

  private get issuer(): string {
    const { flows, baseUrl, mail } = this.config;
    return (
      flows.twoFactor?.totp?.issuer ??
      mail?.site?.replaceAll(':', ' ') ??
      (baseUrl ? new URL(baseUrl).hostname : 'nestjs-latchkey')
    );
  }
}

function ended(): AuthError {
  return new AuthError('UNAUTHENTICATED', 'The session has ended, or has got another token meanwhile.', {});
}
