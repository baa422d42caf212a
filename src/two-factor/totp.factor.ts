import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { KeyRing } from '../crypto/key-ring.js';
import { SealedText } from '../crypto/sealed-text.js';
import { AuthEvents } from '../events/auth-events.js';
import { SecondFactor, type FactorClaim, type FactorContext } from '../login/second-factor.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import type { AuthUser } from '../user/user.directory.js';
import { fromBase32 } from './base32.js';
import { MAX_FAILURES } from './max-failures.js';
import { matchingStep } from './totp.js';
import { TotpStore } from './totp.store.js';

const PURPOSE = 'totp';

/**
 * Codes of an authenticator app. A code counts once, and none that is older than one that was used. After 100 wrong ones
 * in a row the app is disabled, and nothing else, until a backup code is used or the app is set up anew.
 */
@Injectable()
export class TotpFactor extends SecondFactor {
  readonly method = 'totp';
  private readonly sealed: SealedText;

  constructor(
    private readonly store: TotpStore,
    private readonly notices: OwnerNotices,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    keys: KeyRing,
  ) {
    super();
    this.sealed = new SealedText(keys.forPurpose(PURPOSE));
  }

  /** Also while it is disabled: a login without it would be a way around it. */
  override async isEnrolled({ id }: AuthUser): Promise<boolean> {
    return (await this.store.find(id)) !== null;
  }

  override async verify(user: AuthUser, response: string, { ip }: FactorContext): Promise<boolean | FactorClaim> {
    const stored = await this.store.find(user.id);
    if (!stored || stored.isDisabled) return false;
    const secret = this.opened(user.id, stored.secret);
    if (!secret) return false;
    const step = matchingStep(secret, response, this.clock.now());
    if (step !== null) return () => this.store.claim(user.id, stored.secret, step);
    if (await this.store.fail(user.id, stored.secret, MAX_FAILURES, this.clock.now())) {
      const of = { userId: user.id, factor: this.method, ip };
      this.events.emit({ type: 'factor.disabled', at: this.clock.now(), ...of, failures: MAX_FAILURES });
      this.notices.tell(user, 'factor_disabled', { factor: this.method });
    }
    return false;
  }

  /** Also one in place of an older one, which is gone. */
  override removeSince({ id }: AuthUser, since: number): Promise<boolean> {
    return this.store.removeSince(id, since);
  }

  /** Sets a proved secret (base32). False if `isFirst` and there is one by now. */
  put(userId: string, secret: string, step: number, at: { isFirst: boolean; now: number }): Promise<boolean> {
    return this.store.put(userId, this.sealed.seal(secret, userId), step, at);
  }

  private opened(userId: string, sealed: string): Buffer | null {
    const secret = this.sealed.open(sealed, userId);
    return secret === null ? null : fromBase32(secret);
  }
}
