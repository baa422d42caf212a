import { Injectable } from '@nestjs/common';
import { SecondFactor, type FactorClaim, type FactorContext } from '../login/second-factor.js';
import type { OccasionOf } from '../login/second-factor-login.service.js';
import type { AuthUser } from '../user/user.directory.js';
import type { PasskeyRequestOptions } from './ceremony-options.js';
import { PasskeyAssertions, type PasskeyProof } from './passkey-assertions.js';
import { PasskeyRefusal } from './passkey-refusal.js';
import { PasskeyAssertionSchema } from './passkey-responses.js';
import { PasskeyStore } from './passkey.store.js';
import type { PasskeyAssertionResponse } from './webauthn.js';

/**
 * Passkeys as the second factor of a login, and for a step-up. One whose authenticator has verified the user proves
 * `passkey`, which is two factors by itself; one that was only touched proves `passkey-presence`, which is one.
 */
@Injectable()
export class PasskeyFactor extends SecondFactor {
  readonly method = 'passkey';

  constructor(
    private readonly assertions: PasskeyAssertions,
    private readonly passkeys: PasskeyStore,
  ) {
    super();
  }

  override isEnrolled({ id }: AuthUser): Promise<boolean> {
    return this.passkeys.hasAny(id);
  }

  /**
   * What the browser needs to use a passkey of this user, once, for this login or session.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async options({ user, occasion: { purpose, boundTo } }: OccasionOf): Promise<PasskeyRequestOptions> {
    return this.assertions.ask(purpose, boundTo, await this.passkeys.listByUser(user.id));
  }

  /** `response` is the JSON of what the browser has made of the options. */
  override async verify(
    { id: userId }: AuthUser,
    response: string,
    { occasion }: FactorContext,
  ): Promise<boolean | FactorClaim> {
    const assertion = assertionIn(response);
    if (!assertion || !occasion) return false;
    const ceremony = { purpose: occasion.purpose, boundTo: [occasion.boundTo], userId };
    let proof: PasskeyProof;
    try {
      proof = await this.assertions.verify(assertion, ceremony);
    } catch (error) {
      if (error instanceof PasskeyRefusal) return false;
      throw error;
    }
    const { claim, userVerified } = proof;
    const proves = userVerified ? this.method : `${this.method}-presence`;
    return Object.assign(() => claim(), { proves });
  }

  override async removeSince({ id }: AuthUser, since: number): Promise<boolean> {
    // One that is being added has been added then, or is not yet.
    await this.passkeys.lockWaysIn(id);
    return this.passkeys.removeSince(id, since);
  }
}

function assertionIn(response: string): PasskeyAssertionResponse | null {
  try {
    return PasskeyAssertionSchema.safeParse(JSON.parse(response)).data ?? null;
  } catch {
    return null;
  }
}
