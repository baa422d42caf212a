import { createHmac } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { subjectOfAddress } from '../common/ip-address.js';
import { AuthConfig } from '../config/auth-config.js';
import { KeyRing } from '../crypto/key-ring.js';
import { AuthEvents } from '../events/auth-events.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import type { AuthUser } from '../user/user.directory.js';
import {
  PasswordAttemptStore,
  type AttemptPlace,
  type CountedAttempt,
  type PasswordAttemptLimits,
} from './password-attempt.store.js';

const PLACE_PURPOSE = 'nestjs-latchkey:known-place';
const UNKNOWN_PURPOSE = 'nestjs-latchkey:unknown-login';
/** Enough that unknown logins hardly ever wait for each other's row. */
const UNKNOWN_SUBJECTS = 64;
const UNLIMITED: PasswordAttemptLimits = { limit: 2 ** 31 - 1, reserved: 0 };
/** A tenth. */
const RESERVED = 0.1;

/** A login with a password. */
export interface PasswordAttempt {
  /** In the spelling of `normalizeLogin`. */
  readonly login: string;
  readonly ip: string | null;
  readonly isKnownDevice: boolean;
}

/**
 * At most `password.maxFailures` wrong passwords in a row, however long that takes; then the password is disabled until
 * there is a new one (NIST SP 800-63B 3.2.2). An attempt is counted before it is judged, so parallel ones do not get
 * past the limit, and a success sets the count to 0. Once the account has been logged in to, a tenth is kept for the
 * devices and addresses from which that was done: a stranger who uses up the rest does not lock the owner out there.
 * With a `mailer` the owner is told when the limit is reached.
 *
 * A login without an account does the same work, on one of 64 rows that stand for all of them.
 */
@Injectable()
export class PasswordAttempts {
  private readonly limits: PasswordAttemptLimits;

  constructor(
    private readonly store: PasswordAttemptStore,
    private readonly keys: KeyRing,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    private readonly notices: OwnerNotices,
    { password: { maxFailures: limit } }: AuthConfig,
  ) {
    this.limits = { limit, reserved: Math.floor(limit * RESERVED) };
  }

  /**
   * Runs `verify` and counts its outcome: `null` is a failure. `isDisabled`: compare with nothing but do the same work;
   * what it returns does not count. What it throws says nothing about the password, and takes the count back.
   */
  async judge(
    account: AuthUser | null,
    attempt: PasswordAttempt,
    verify: (isDisabled: boolean) => Promise<AuthUser | null>,
  ): Promise<AuthUser | null> {
    const subject = account?.id ?? this.subjectOf(attempt.login);
    const place = this.placeOf(subject, attempt);
    const counted = await this.store.count(subject, place, account ? this.limits : UNLIMITED);
    let user: AuthUser | null;
    try {
      user = await verify(!counted.isJudged);
    } catch (error) {
      if (counted.isJudged) await this.store.refund(subject).catch(ignore);
      throw error;
    }
    if (!counted.isJudged) return null;
    if (user === null) {
      if (account) this.tellIfDisabled(account, attempt, counted);
      return null;
    }
    // The password was right, so a failure to clean up is no reason to refuse it.
    await this.store.reset(subject, place).catch(ignore);
    return user;
  }

  /** The password can be used again, as often as that of a new account. False if it had no failures. */
  forget(userId: string): Promise<boolean> {
    return this.store.forget(userId);
  }

  /** Once: no further attempt is judged at this limit. */
  private tellIfDisabled(account: AuthUser, { login, ip }: PasswordAttempt, counted: CountedAttempt): void {
    const { failures, limit } = counted;
    if (failures < limit) return;
    const exceptKnownPlaces = limit < this.limits.limit;
    const of = { at: this.clock.now(), userId: account.id, login, ip };
    this.events.emit({ type: 'password.disabled', ...of, failures, exceptKnownPlaces });
    this.notices.tell(account, 'password_disabled', { exceptKnownPlaces });
  }

  /** Digests, so that the table does not tell where anybody has been. */
  private placeOf(subject: string, { ip, isKnownDevice }: PasswordAttempt): AttemptPlace {
    const address = subjectOfAddress(ip);
    const keys = address === null ? [] : this.keys.forPurpose(PLACE_PURPOSE);
    const digests = keys.map((key) =>
      createHmac('sha256', key).update(`${address}\n${subject}`).digest().toString('base64url', 0, 16),
    );
    return { digests, isKnownDevice };
  }

  private subjectOf(unknownLogin: string): string {
    const digest = createHmac('sha256', this.keys.forPurpose(UNKNOWN_PURPOSE)[0]).update(unknownLogin).digest();
    return `(unknown login ${digest.readUInt32BE() % UNKNOWN_SUBJECTS})`;
  }
}

const ignore = () => undefined;
