import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { SecondFactor, type FactorClaim, type FactorContext } from '../login/second-factor.js';
import { PasswordHasher } from '../user/password-hasher.js';
import type { AuthUser } from '../user/user.directory.js';
import { newBackupCodes, parsedBackupCode, spelledBackupCode } from './backup-codes.js';
import { BackupCodeStore, type StoredBackupCode } from './backup-code.store.js';
import { TotpStore } from './totp.store.js';

/** New codes: what is shown once, and what is stored. */
export interface IssuedBackupCodes {
  readonly shown: readonly string[];
  readonly stored: readonly StoredBackupCode[];
}

/** Codes on paper, each of which counts once. An attempt costs one slow hash, whether there is such a code or not. */
@Injectable()
export class BackupCodeFactor extends SecondFactor {
  readonly method = 'backup-code';
  override readonly isFallback = true;

  constructor(
    private readonly store: BackupCodeStore,
    private readonly totp: TotpStore,
    private readonly hasher: PasswordHasher,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {
    super();
  }

  override async isEnrolled({ id }: AuthUser): Promise<boolean> {
    return (await this.store.countUnused(id)) > 0;
  }

  override async verify(
    { id, email }: AuthUser,
    response: string,
    { ip }: FactorContext,
  ): Promise<false | FactorClaim> {
    const code = parsedBackupCode(response);
    if (!code) return false;
    const { selector, secret } = code;
    const hash = await this.store.findHash(id, selector);
    const matches = await this.hasher.matches(hash, secret, { login: email, ip });
    if (hash === null || !matches) return false;
    return async () => {
      if (!(await this.store.claim(id, { selector, hash }, this.clock.now()))) return false;
      // Its owner is there: what others have tried in between no longer counts.
      await this.totp.enable(id);
      return true;
    };
  }

  override removeSince({ id }: AuthUser, since: number): Promise<boolean> {
    return this.store.removeSince(id, since);
  }

  /** Costs a slow hash for each: outside of transactions. Empty if there are no backup codes. */
  async issue(ip: string | null): Promise<IssuedBackupCodes> {
    const { count = 0 } = this.config.flows.twoFactor?.backupCodes ?? {};
    const codes = newBackupCodes(count);
    const stored: StoredBackupCode[] = [];
    for (const { selector, secret } of codes) stored.push({ selector, hash: await this.hasher.hash(secret, { ip }) });
    return { shown: codes.map(spelledBackupCode), stored };
  }

  countUnused(userId: string): Promise<number> {
    return this.store.countUnused(userId);
  }

  /** The codes before are void. */
  replace(userId: string, { stored }: Pick<IssuedBackupCodes, 'stored'>, now: number): Promise<void> {
    return this.store.replace(userId, stored, now);
  }
}
