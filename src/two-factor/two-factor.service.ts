import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { sha256Hex } from '../crypto/hash.js';
import { EnrolledFactors } from '../login/enrolled-factors.js';
import { FactorChanges, type FactorChange } from '../login/factor-changes.js';
import { refusedFactor } from '../login/factor-proofs.js';
import type { TokenTransport } from '../login/login.service.js';
import {
  SecondFactorLoginService,
  type HeldLoginContext,
  type PresentedLogin,
  type SecondFactorLogin,
} from '../login/second-factor-login.service.js';
import type { SecondFactor } from '../login/second-factor.js';
import type { CookieValue } from '../login/session-scheme.js';
import { TrustedBrowsers } from '../login/trusted-browsers.js';
import type { SessionContext } from '../session/session.service.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { BackupCodeFactor, type IssuedBackupCodes } from './backup-code.factor.js';
import { TotpSetups, type TotpSetup } from './totp-setups.js';
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

const TWO_FACTORS = { aal: 2 } as const;

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
  constructor(
    private readonly factors: EnrolledFactors,
    private readonly changes: FactorChanges,
    private readonly totp: TotpFactor,
    private readonly totps: TotpStore,
    private readonly setups: TotpSetups,
    private readonly backupCodes: BackupCodeFactor,
    private readonly trusted: TrustedBrowsers,
    private readonly held: SecondFactorLoginService,
    private readonly clock: Clock,
  ) {}

  /**
   * What this user has. No secret is among it.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  async statusOf(user: AuthUser): Promise<TwoFactorStatus> {
    const totp = await this.totps.find(user.id);
    const backupCodesLeft = await this.backupCodes.countUnused(user.id);
    const known = new Map<SecondFactor, boolean>([
      [this.totp, totp !== null],
      [this.backupCodes, backupCodesLeft > 0],
    ]);
    return {
      methods: await this.factors.methodsOf(user, known),
      isTotpDisabled: totp?.isDisabled ?? false,
      backupCodesLeft,
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
    const user = await this.changes.ownerOf(session);
    // Whoever has a factor must have proved it: else a stolen session, or one from before it, would replace it.
    await this.changes.demand(session);
    return this.setups.begin(user, session.handle);
  }

  /**
   * As `setUpTotp`, for a login that is held because its user must enrol a factor.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a token that cannot be used, and if the account has a factor by now.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async setUpTotpFor(login: PresentedLogin): Promise<TotpSetup> {
    const { user } = await this.held.enrolling(login);
    return this.setups.begin(user, sha256Hex(login.token));
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
    const user = await this.changes.ownerOf(session);
    await this.changes.demand(session);
    const going = { ...context, proofs: [this.totp.method], authenticatedAt: this.clock.now() };
    const { change, shown } = await this.enrolment(user, session.handle, code, context);
    const credential = await this.changes.replacing({ user, session, ip: context.ip }, change, going);
    return { user, credential, backupCodes: shown() };
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
    const enrolling = await this.held.enrolling(login);
    const { user } = enrolling;
    const { change, shown } = await this.enrolment(user, sha256Hex(login.token), code, context);
    return this.changes.completing({ user, ip: context.ip }, change, async (endAll) => ({
      ...(await this.held.finish(enrolling, this.totp.method, context, endAll)),
      backupCodes: shown(),
    }));
  }

  /**
   * Removes the authenticator app, and with the last factor the backup codes. Emits `factor.removed`.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session is not fresh, or not of two factors.
   * @throws {AuthError} `UNAUTHENTICATED` if the session has ended, or has got another token meanwhile.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing has changed.
   */
  async disableTotp(session: Session, context: TwoFactorContext = {}): Promise<ChangedFactors> {
    return this.changed(session, context, (user) => ({
      factor: this.totp.method,
      how: 'removed',
      write: async ({ at }) => {
        const isRemoved = await this.totps.remove(user.id);
        const left = await this.factors.methodsOf(user);
        if (left.every((method) => method === this.backupCodes.method)) {
          await this.backupCodes.replace(user.id, { stored: [] }, at);
        }
        return isRemoved;
      },
    }));
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
    await this.changes.demand(session, TWO_FACTORS);
    const codes = await this.backupCodes.issue(context.ip ?? null);
    const replaced = await this.changed(session, context, ({ id }) => ({
      factor: this.backupCodes.method,
      how: 'replaced',
      write: ({ at }) => this.backupCodes.replace(id, codes, at).then(() => true),
    }));
    return { ...replaced, backupCodes: codes.shown };
  }

  /** A change in a session of two factors, which proves nothing new. */
  private async changed(
    session: Session,
    context: TwoFactorContext,
    of: (user: AuthUser) => FactorChange,
  ): Promise<ChangedFactors> {
    await this.changes.demand(session, TWO_FACTORS);
    const user = await this.changes.ownerOf(session);
    const { amr: proofs, authenticatedAt } = session;
    const change = { ...of(user), demands: TWO_FACTORS };
    const going = { ...context, proofs, authenticatedAt };
    const credential = await this.changes.replacing({ user, session, ip: context.ip }, change, going);
    return { user, credential, backupCodes: [] };
  }

  /** An authenticator app that this code proves, and the backup codes that come with it. */
  private async enrolment(
    user: AuthUser,
    boundTo: string,
    code: string,
    { ip = null }: { ip?: string | null | undefined },
  ): Promise<{ change: FactorChange; shown: () => readonly string[] }> {
    const setup = await this.setups.find(user, boundTo);
    if (!setup) throw refusedFactor();
    let step: number | null = null;
    let codes: IssuedBackupCodes = { shown: [], stored: [] };
    const change: FactorChange = {
      factor: this.totp.method,
      how: 'added',
      verify: async () => {
        step = setup.stepOf(code);
        if (step === null) return false;
        codes = await this.backupCodes.issue(ip);
        return () => setup.claim();
      },
      write: async ({ isFirst, at }) => {
        if (!(await this.totp.put(user.id, setup.secret, step!, { isFirst, now: at }))) throw refusedFactor();
        await this.backupCodes.replace(user.id, codes, at);
        return true;
      },
    };
    return { change, shown: () => codes.shown };
  }
}
