import type { ProviderSession } from '../config/ephemeral-token-settings.js';
import type { EndedSession } from '../session/session.js';

/** Which of our sessions belong to a session at a provider, and end with it (OpenID Connect Back-Channel Logout 1.0). */
export abstract class ProviderSessions {
  /**
   * Records that this session was begun, or stepped up, by one at a provider. A part of the `AuthTransaction` around it.
   * Nothing is recorded for an identity that has been unlinked meanwhile.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  abstract record(providerSession: ProviderSession, session: Pick<EndedSession, 'userId' | 'handle'>): Promise<void>;

  /**
   * Records that a login of this user was begun by one at a provider, and is not completed yet: a logout there that names
   * only the session ends it too. Otherwise as `record`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  abstract recordHeld(providerSession: ProviderSession, userId: string): Promise<void>;
}
