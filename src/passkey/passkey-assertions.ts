import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { PasskeyPurpose } from '../config/ephemeral-token-settings.js';
import { relyingPartyOf, type RelyingParty } from '../config/passkey-settings.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { AuthEvents } from '../events/auth-events.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import { UserDirectory } from '../user/user.directory.js';
import { requestOptions, type PasskeyRequestOptions } from './ceremony-options.js';
import { PasskeyRefusal } from './passkey-refusal.js';
import { PasskeyStore, type StoredPasskey } from './passkey.store.js';
import { challengeOf, WebAuthn, type PasskeyAssertionResponse, type VerifiedAssertion } from './webauthn.js';

/** What a passkey is used for, and by whom. */
export interface Ceremony {
  readonly purpose: PasskeyPurpose;
  /** What the challenge was given to: the browser, the held login or the session. Any of them. */
  readonly boundTo: readonly string[];
  /** Whose passkey it must be. Missing where the passkey says who it is. */
  readonly userId?: string;
}

/** A passkey that has answered its challenge. Nothing is written yet. */
export interface PasskeyProof {
  readonly passkey: StoredPasskey;
  readonly userVerified: boolean;
  /**
   * Spends the challenge and records the use. True for exactly one of concurrent calls with one assertion. False commits
   * as well: what it writes then is the alarm about a copy of the passkey.
   */
  readonly claim: () => Promise<boolean>;
}

/**
 * Uses of passkeys, whatever they are for. A challenge is a single-use token of 32 random bytes, bound to who has asked
 * for it and to what it is for; to spend it is to check it, so a proof counts once and nowhere else.
 */
@Injectable()
export class PasskeyAssertions {
  private readonly ttl: number;
  private readonly party: RelyingParty;

  constructor(
    private readonly webauthn: WebAuthn,
    private readonly passkeys: PasskeyStore,
    private readonly tokens: EphemeralTokenService,
    private readonly users: UserDirectory,
    private readonly notices: OwnerNotices,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    { ephemeralTokens, flows }: AuthConfig,
  ) {
    this.ttl = ephemeralTokens.get('passkey_assert')!.ttl;
    this.party = relyingPartyOf(flows.passkeys!);
  }

  /** A challenge for this purpose. Without `allowed`, the options are the same for everybody but for the challenge. */
  async ask(
    purpose: PasskeyPurpose,
    boundTo: string,
    allowed?: readonly StoredPasskey[],
  ): Promise<PasskeyRequestOptions> {
    const challenge = await this.tokens.issue('passkey_assert', { purpose, challengeId: boundTo });
    return requestOptions(this.party, { challenge, timeout: this.ttl, ...(allowed && { allowed }) });
  }

  /** The one place that says whether a passkey was used. Throws a `PasskeyRefusal` if it was not; writes nothing. */
  async verify(response: PasskeyAssertionResponse, { purpose, boundTo, userId }: Ceremony): Promise<PasskeyProof> {
    const challenge = challengeOf(response);
    const binding = challenge && (await this.bindingOf(challenge, purpose, boundTo));
    if (!challenge || !binding) throw new PasskeyRefusal('Its challenge is unknown, spent, expired or not for this.');
    const passkey = await this.passkeys.findByCredential(response.id);
    if (!passkey) throw new PasskeyRefusal('It is unknown.');
    if (userId !== undefined && passkey.userId !== userId) throw new PasskeyRefusal("It is another account's.");
    const { userHandle } = response.response;
    // Only a passkey that is found without a name has to say whose it is (WebAuthn Level 3, section 7.2, step 6).
    const isItsUsers = userHandle ? userHandle === passkey.userHandle : purpose !== 'login';
    if (!isItsUsers) throw new PasskeyRefusal('Its user handle is not that of its account.');
    const verified = await this.webauthn.verifyAssertion(response, challenge, this.party, passkey);
    const claim = async () => {
      const spent = await this.tokens.consume('passkey_assert', challenge, binding);
      return spent?.purpose === purpose && this.record(passkey, verified);
    };
    return { passkey, userVerified: verified.userVerified, claim };
  }

  private async bindingOf(challenge: string, purpose: PasskeyPurpose, boundTo: readonly string[]) {
    for (const binding of boundTo) {
      const fields = await this.tokens.peek('passkey_assert', challenge, binding);
      if (fields?.purpose === purpose) return binding;
    }
    return null;
  }

  /** Its challenge is spent by now, so this is no second use of one proof. */
  private async record(passkey: StoredPasskey, { signCount, backedUp }: VerifiedAssertion): Promise<boolean> {
    const now = this.clock.now();
    if (await this.passkeys.use(passkey.id, { signCount, backedUp, now })) return true;
    if (!(await this.passkeys.suspect(passkey.id, now))) return false;
    const { userId, id } = passkey;
    this.events.emitAfterTransaction({ type: 'passkey.clone_suspected', at: now, userId, passkeyId: id });
    const owner = await this.users.findById(userId);
    if (owner) this.notices.tell(owner, 'passkey_clone_suspected', { name: passkey.name });
    return false;
  }
}
