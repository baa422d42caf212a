import type { Duration } from '../common/duration.js';
import type { ApiKey, StoredApiKey } from './api-key.js';

/** A key that is to be stored. Instants are epoch milliseconds. */
export interface NewApiKey {
  readonly userId: string;
  readonly name: string;
  readonly prefix: string;
  /** Lower-case hex SHA-256 of the key's bytes. */
  readonly hash: string;
  readonly scopes: readonly string[];
  readonly createdAt: number;
  readonly lifetime: Duration;
}

/** Which keys of a user are live: not expired at `now`, and made after the account's cutoff. */
export interface LiveKeysAt {
  readonly now: number;
  readonly cutoff: number | null;
}

/**
 * Where API keys are: in PostgreSQL, whatever the engine. Missing rows are `null`, `false` or 0; errors are for faults
 * only. Every method is one statement, but for `insert`.
 */
export abstract class ApiKeyStore {
  /**
   * The key with this hash and its owner as the account is now, in one round trip; live or not, so that the caller can
   * tell why. `null` if there is no such key, or its owner is gone.
   */
  abstract find(hash: string): Promise<StoredApiKey | null>;

  /**
   * Stores the key unless the user has `max` live ones. `null`, and nothing is stored, if there are as many: of
   * concurrent calls, in any number of processes, no more than `max` succeed. Call it in a transaction, which holds the
   * user's lock until its end.
   *
   * @throws {AuthError} `USER_NOT_FOUND` if no account can have this id.
   */
  abstract insert(key: NewApiKey, limit: LiveKeysAt & { readonly max: number }): Promise<ApiKey | null>;

  /** The live keys of a user, the latest first. */
  abstract listByUser(userId: string, at: LiveKeysAt): Promise<ApiKey[]>;

  /**
   * Ends the key with this id if it is the user's. `revoked` for exactly one of any number of concurrent calls, `before`
   * for the others; `null` if the user has no such key.
   */
  abstract revoke(
    userId: string,
    id: string,
    now: number,
  ): Promise<{ outcome: 'revoked' | 'before'; name: string } | null>;

  /** Ends all keys of a user, and returns the ids of those that had not ended before. */
  abstract revokeByUser(userId: string, now: number): Promise<string[]>;

  /** Records a use of the key with this hash, unless one has been recorded within `grain` before `now`. */
  abstract touch(hash: string, now: number, grain: Duration): Promise<void>;

  /** Deletes up to `limit` keys that expired or were revoked at `instant` or before. Returns how many. */
  abstract deleteOver(instant: number, limit: number): Promise<number>;
}
