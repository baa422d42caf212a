import type { UnlinkedIdentity } from '../config/ephemeral-token-settings.js';
import type { AuthUser } from '../user/user.directory.js';

/** Links an account that is being opened with the account at a provider by which its owner will log in. */
export abstract class NewIdentities {
  /**
   * A part of the `AuthTransaction` around it. False if somebody has linked it meanwhile: then the account must not be
   * opened. Emits `identity.linked`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  abstract addTo(user: AuthUser, identity: UnlinkedIdentity, ip: string | null): Promise<boolean>;
}
