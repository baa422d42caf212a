import { Injectable } from '@nestjs/common';
import { AuthError, type AuthErrorCode } from '../auth.errors.js';
import { siteOfAddress } from '../common/ip-address.js';
import { LoginBackoff } from '../rate-limit/backoff.js';
import type { RateLimitEvent } from '../config/rate-limit-settings.js';
import { rateLimited, RateLimitService, type RateLimitDecision } from '../rate-limit/rate-limit.service.js';

/**
 * Protects passwords from guessing: the back-off and `login_ip` per address, `login_network` per IPv6 /48,
 * `login_attempt` per account, or `login_known_device` for a device that has logged in to it before. An attempt is
 * counted before the password is checked, so however many arrive at once, no more than the limit get through. A success
 * takes its count back, so that only failures count.
 */
@Injectable()
export class LoginLimits {
  constructor(
    private readonly limits: RateLimitService,
    private readonly backoff: LoginBackoff,
  ) {}

  /**
   * Runs the verification unless the address or the account is limited; then it throws `RATE_LIMITED` with the true
   * time to wait, and the attempt is not counted. A success clears the account's bucket but never the address's: the
   * owner of one account must not be able to reset it for guesses at others.
   *
   * `login` is `null` if no name is given, as with a passkey: then only the address is counted. With `device`, the id of
   * a known one (`KnownDevices.identify`), the attempt is counted for that device and not for the account, and where
   * the address has no tries left, for the device alone: strangers behind the owner's address do not lock the owner out
   * either. `verify` is told whether there is one. The back-off holds for all, as it makes them wait for seconds.
   *
   * Anything `verify` throws counts as a failure, except a fault of ours (503). An attempt that found no place in the
   * hasher's queue still counts for its address, since a flood would otherwise cost nothing, but not for the account.
   * `null`, `undefined` or `false` count as a failure too, and `INVALID_CREDENTIALS` is thrown for them. An attempt in
   * progress counts until it has succeeded, so more simultaneous logins from one address than `login_ip` allows are
   * refused too.
   */
  async enforce<T>(
    address: string | null,
    login: string | null,
    verify: (isKnownDevice: boolean) => Promise<T>,
    device: string | null = null,
  ): Promise<NonNullable<T>> {
    const wait = await this.backoff.check(address);
    if (!wait.allowed) {
      throw rateLimited({ event: 'login_backoff', limit: wait.failures, retryAfter: wait.retryAfter });
    }
    const site = siteOfAddress(address);
    const account = accountTarget(login, device);
    const verdict = await this.limits.consumeAll([
      { event: 'login_ip', subject: address },
      ...(site === null ? [] : [{ event: 'login_network' as const, subject: site }]),
      ...(account === null ? [] : [account]),
    ]);
    let { decisions } = verdict;
    if (!verdict.allowed) {
      if (device === null || account === null) throw rateLimited(verdict.decisive);
      const own = await this.limits.consume(account.event, account.subject);
      if (!own.allowed) throw rateLimited(own);
      decisions = [own];
    }

    const verified = await this.verify(() => verify(device !== null), address, decisions);
    // The login has succeeded, so a failure to clean up its counts is no reason to refuse it.
    await Promise.all([
      account !== null && this.limits.clear(account.event, account.subject).catch(ignore),
      this.refund(decisions.filter(({ event }) => !OF_ACCOUNTS.has(event))),
      this.backoff.reset(address).catch(ignore),
    ]);
    return verified;
  }

  private async verify<T>(
    verify: () => Promise<T>,
    address: string | null,
    decisions: readonly RateLimitDecision[],
  ): Promise<NonNullable<T>> {
    try {
      const verified = await verify();
      if (verified !== null && verified !== undefined && verified !== false) return verified;
      throw new AuthError('INVALID_CREDENTIALS', 'The verification refused these credentials.', {});
    } catch (error) {
      const code = error instanceof AuthError ? error.code : null;
      const countsForAddress = decisions.some(({ event }) => !OF_ACCOUNTS.has(event));
      if (code === 'HASHER_OVERLOADED') {
        if (countsForAddress) await this.refund(decisions.filter(({ event }) => OF_ACCOUNTS.has(event)));
      } else if (code !== null && FAULTS.has(code)) await this.refund(decisions);
      else await this.backoff.recordFailure(address).catch(ignore);
      throw error;
    }
  }

  /** Best effort: if it fails, one attempt too many is counted. */
  private async refund(decisions: readonly RateLimitDecision[]): Promise<void> {
    for (const decision of decisions) await this.limits.refund(decision).catch(ignore);
  }
}

/** What is counted for the account, or for one of its devices. */
const OF_ACCOUNTS: ReadonlySet<RateLimitEvent> = new Set(['login_attempt', 'login_known_device']);

function accountTarget(login: string | null, device: string | null) {
  if (login === null) return null;
  return device === null
    ? { event: 'login_attempt' as const, subject: login }
    : { event: 'login_known_device' as const, subject: device };
}

/** Faults that say nothing about the credentials. */
const FAULTS = new Set<AuthErrorCode>(['STORE_UNAVAILABLE', 'SCHEMA_MISSING', 'SETUP_INCOMPLETE']);
const ignore = () => false;
