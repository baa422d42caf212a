import type { AuthUser } from '../user/user.directory.js';

/** A revoked token: its `jti`, and the epoch ms at which it would have expired. */
export type RevokedToken = readonly [jti: string, exp: number];

/** The state of a self-contained token: whether it was revoked, and its user as of now. */
export interface TokenState {
  readonly revoked: boolean;
  readonly user: AuthUser | null;
}

/**
 * The `jti`s that were revoked before they expired. A fault is thrown (`STORE_UNAVAILABLE`), never answered with "not
 * revoked".
 */
export abstract class RevokedTokenStore {
  /**
   * Idempotent; of two expiries the later one is kept. `exp` is in epoch ms. Across all processes, exactly one
   * concurrent caller gets true; false if it was revoked already.
   */
  abstract revoke(jti: string, exp: number): Promise<boolean>;

  abstract isRevoked(jti: string): Promise<boolean>;

  /** Whether the token was revoked, and its user as of now. */
  abstract stateOf(jti: string, userId: string): Promise<TokenState>;

  /** At most `limit` of those that have not expired at `now`; `exp` is in epoch ms. */
  abstract list(now: number, limit: number): Promise<RevokedToken[]>;

  /** Deletes at most `limit` of those that had expired at `now`, the oldest first. Returns the number deleted. */
  abstract deleteExpired(now: number, limit: number): Promise<number>;
}
