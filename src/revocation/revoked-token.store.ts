import type { AuthUser } from '../user/user.directory.js';

/** A token that was ended: its `jti`, and the epoch ms at which it would have ended by itself. */
export type RevokedToken = readonly [jti: string, exp: number];

/** What is known of a self-contained token: whether it was ended, and its user as of now. */
export interface TokenState {
  readonly revoked: boolean;
  readonly user: AuthUser | null;
}

/**
 * The `jti`s that were ended before their time. A fault is thrown (`STORE_UNAVAILABLE`), never answered with "not
 * revoked".
 */
export abstract class RevokedTokenStore {
  /**
   * Idempotent; of two expiries the later one holds. `exp` is in epoch ms. Of concurrent callers in all processes true
   * for one, false where it was ended already.
   */
  abstract revoke(jti: string, exp: number): Promise<boolean>;

  abstract isRevoked(jti: string): Promise<boolean>;

  /** Whether the token was ended, and its user as of now. */
  abstract stateOf(jti: string, userId: string): Promise<TokenState>;

  /** At most `limit` of those that have not expired by themselves at `now`, `exp` in epoch ms. */
  abstract list(now: number, limit: number): Promise<RevokedToken[]>;

  /** Deletes at most `limit` of those that had expired by themselves at `now`, the oldest first. Returns the number deleted. */
  abstract deleteExpired(now: number, limit: number): Promise<number>;
}
