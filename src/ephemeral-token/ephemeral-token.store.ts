import type { EphemeralTokenRow, PresentedBinding } from './ephemeral-token.types.js';

/** A token, and the binding it is presented with. */
export interface EphemeralTokenKey {
  readonly type: string;
  readonly hash: string;
  readonly binding: PresentedBinding;
  /** A token expires at the exact instant: `expiresAt > now` is live. */
  readonly now: number;
}

/**
 * Where single-use tokens are stored. Every implementation guarantees, and
 * `test/contract/ephemeral-token-store.contract.ts` checks:
 *
 * - A token that is missing, expired, of another type or bound to something else is `null`, and **nothing has
 *   changed**. The result does not say which. A fault of the storage is thrown and never answered with "missing".
 * - Each method is one decision, atomic against every other in every process: of any number of parallel `take` of one
 *   token, exactly one gets it, and one whose answer was lost has spent it.
 */
export abstract class EphemeralTokenStore {
  /** Whether expired entries disappear by themselves, so that the cleanup has nothing to do. */
  readonly expiresByItself: boolean = false;

  /** Stores a token. With `voidsEarlier` it is then the user's only one of its type, even with concurrent inserts. */
  abstract insert(row: EphemeralTokenRow, options: { voidsEarlier: boolean }): Promise<void>;

  /** The token as it is; it stays usable. */
  abstract find(key: EphemeralTokenKey): Promise<EphemeralTokenRow | null>;

  /**
   * Takes the token and deletes it. With `voidsRest`, the user's other tokens of this type are deleted too, so that of
   * two different ones taken at the same moment only one succeeds.
   */
  abstract take(key: EphemeralTokenKey, options: { voidsRest: boolean }): Promise<EphemeralTokenRow | null>;

  /**
   * Deletes every token of this account key, of every type, or those created at `since` (epoch ms) or later. Returns the
   * number deleted.
   */
  abstract deleteByLogin(username: string, since?: number): Promise<number>;

  /** Deletes every token of this account key and type. Returns the number deleted. */
  abstract deleteOfType(username: string, type: string): Promise<number>;

  /** How many tokens of this account key and type are live at `now` and were created after `cutoff` (both epoch ms). */
  abstract countOfType(username: string, type: string, now: number, cutoff: number | null): Promise<number>;

  /** Deletes at most `limit` tokens that had expired at `now`, the oldest first. Returns the number deleted. */
  abstract deleteExpired(now: number, limit: number): Promise<number>;
}
