import { Injectable } from '@nestjs/common';
import { AuthError, type AuthErrorCode } from '../auth.errors.js';
import { siteOfAddress } from '../common/ip-address.js';
import { LoginBackoff } from '../rate-limit/backoff.js';
import { rateLimited, RateLimitService, type RateLimitDecision } from '../rate-limit/rate-limit.service.js';
import { KnownDevices } from './known-devices.js';

/**
 * Protects passwords from guessing: the back-off and `login_ip` per address, `login_network` per IPv6 /48,
 * `login_attempt` per account. An attempt is counted before the password is checked, so however many arrive at once, no
 * more than the limit get through. A success takes its count back, so that only failures count.
 *
 * A device on which the login name was used before has `login_known` to itself where those are used up: strangers who
 * fail on purpose do not lock the owner out of it.
 */
@Injectable()
export class LoginLimits {
  constructor(
    private readonly limits: RateLimitService,
    private readonly backoff: LoginBackoff,
    private readonly devices: KnownDevices,
  ) {}

  /**
   * Runs the verification unless the address or the account is limited; then it throws `RATE_LIMITED` with the true
   * time to wait, and the attempt is not counted. A success clears the account's bucket but never the address's: the
   * owner of one account must not be able to reset it for guesses at others.
   *
   * `login` is `null` if no name is given, as with a passkey: then only the address is counted.
   *
   * Anything `verify` throws counts as a failure, except a fault of ours (503). An attempt that found no place in the
   * hasher's queue still counts for its address, since a flood would otherwise cost nothing, but not for the account.
   * `null`, `undefined` or `false` count as a failure too, and `INVALID_CREDENTIALS` is thrown for them. An attempt in
   * progress counts until it has succeeded, so more simultaneous logins from one address than `login_ip` allows are
   * refused too.
   *
   * `devices`: the values of the client's cookie for known devices (`DeviceCookie.values`). If one is of this login, an
   * attempt that the address's or account's limit refuses is counted in the device's own bucket, and `verify` is told.
   * The back-off holds for known devices too: it makes them wait for seconds.
   */
  async enforce<T>(
    address: string | null,
    login: string | null,
    verify: (isKnownDevice: boolean) => Promise<T>,
    devices: readonly string[] = [],
  ): Promise<NonNullable<T>> {
    const wait = await this.backoff.check(address);
    if (!wait.allowed) {
      throw rateLimited({ event: 'login_backoff', limit: wait.failures, retryAfter: wait.retryAfter });
    }
    const site = siteOfAddress(address);
    const verdict = await this.limits.consumeAll([
      { event: 'login_ip', subject: address },
      ...(site === null ? [] : [{ event: 'login_network' as const, subject: site }]),
      ...(login === null ? [] : [{ event: 'login_attempt' as const, subject: login }]),
    ]);
    const device = login === null ? null : this.devices.find(login, devices);
    const decisions = verdict.allowed ? verdict.decisions : [await this.consumeOwn(verdict.decisive, login, device)];

    const verified = await this.verify(() => verify(device !== null), address, decisions);
    // The login has succeeded, so a failure to clean up its counts is no reason to refuse it.
    await Promise.all([
      ...decisions.filter(isOfLogin).map(({ event, subject }) => this.limits.clear(event, subject).catch(ignore)),
      this.refund(decisions.filter((decision) => !isOfLogin(decision))),
      this.backoff.reset(address).catch(ignore),
    ]);
    return verified;
  }

  /** Counts an attempt of a known device that the common limits refuse; any other is refused. */
  private async consumeOwn(
    refusal: RateLimitDecision,
    login: string | null,
    device: string | null,
  ): Promise<RateLimitDecision> {
    if (device === null) throw rateLimited(refusal);
    const own = await this.limits.consume('login_known', `${login} ${device}`);
    if (!own.allowed) throw rateLimited(own.retryAfter < refusal.retryAfter ? own : refusal);
    return own;
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
      if (code === 'HASHER_OVERLOADED') await this.refund(decisions.filter(({ event }) => event === 'login_attempt'));
      else if (code !== null && FAULTS.has(code)) await this.refund(decisions);
      else await this.backoff.recordFailure(address).catch(ignore);
      throw error;
    }
  }

  /** Best effort: if it fails, one attempt too many is counted. */
  private async refund(decisions: readonly RateLimitDecision[]): Promise<void> {
    for (const decision of decisions) await this.limits.refund(decision).catch(ignore);
  }
}

/** Whether a success clears the bucket: what it held was the owner's. */
const isOfLogin = ({ event }: RateLimitDecision) => event === 'login_attempt' || event === 'login_known';
/** Faults that say nothing about the credentials. */
const FAULTS = new Set<AuthErrorCode>(['STORE_UNAVAILABLE', 'SCHEMA_MISSING', 'SETUP_INCOMPLETE']);
const ignore = () => false;
