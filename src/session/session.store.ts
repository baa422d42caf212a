import type { AuthenticatedSession, Session } from './session.js';

/** What a new session is made of. Instants and lengths are milliseconds. */
export interface NewSession {
  readonly id: string;
  readonly userId: string;
  readonly now: number;
  readonly ttl: number;
  readonly absoluteLifetime: number;
  /**
   * When the user proved who they are. `null` is a mere rotation: the new session carries the authentication and the
   * absolute lifetime of the one it replaces, and there is none without it.
   */
  readonly authenticatedAt: number | null;
  /**
   * The account's `tokensInvalidatedAfter` as it was read with the password; `undefined`: not known. When the account is
   * disabled or has another cutoff by now, nothing is opened: the login is out of date. Stores without a table of users
   * leave that to the lookup.
   */
  readonly cutoff?: number | null;
  /** Id of the session that ends in the same transaction. */
  readonly replaces: string | null;
  readonly maxPerUser: number;
  readonly ip: string | null;
  readonly userAgent: string | null;
}

export interface Extension {
  readonly id: string;
  readonly now: number;
  /** The expiry wanted; the store never sets one past the absolute lifetime. */
  readonly expiresAt: number;
  readonly extendBelow: number;
}

/**
 * Where sessions are kept. What every implementation guarantees, and `test/contract/session-store.contract.ts` checks:
 *
 * - A missing session is `null`, `false` or 0, never an error. A fault of the storage is thrown (`STORE_UNAVAILABLE`)
 *   and is never answered with "missing": an outage is not a logout.
 * - Nothing here judges whether a session is live but what writes: `session.ts` holds that rule, for every reader.
 * - Each method is one decision, atomic against every other in every process. In whatever order they meet, a session
 *   that was deleted is never back, by no `extend` and no `open`.
 */
export abstract class SessionStore {
  /**
   * The session and its user as they are now, live or not; `null` when either is missing. `id` is 64 hex digits.
   */
  abstract find(id: string): Promise<AuthenticatedSession | null>;

  /**
   * Stores a new session. Of `maxPerUser` concurrent and older ones exactly that many are left: the least recently
   * used go in the same transaction (R38). With `replaces` that session, of whichever user, is deleted in the same
   * transaction; when that fails, nothing is stored.
   *
   * `null`, and nothing has changed: for a mere rotation (`authenticatedAt` null) whose old session is gone, over, or of
   * another user, and for a login whose account has changed since (`cutoff`). Throws `USER_NOT_FOUND` where the storage knows the users and there is none of this id.
   */
  abstract open(session: NewSession): Promise<Session | null>;

  /**
   * Moves the expiry, unless the session is gone, over, or was extended meanwhile. Answers the expiry now in force, or
   * `null` when nothing was written: of concurrent callers one gets it.
   */
  abstract extend(extension: Extension): Promise<number | null>;

  /** Deletes these sessions; how many there were. */
  abstract delete(ids: readonly string[]): Promise<number>;

  /** Deletes the user's session of this handle. False, without any effect, for a foreign or unknown handle (R16). */
  abstract deleteByHandle(userId: string, handle: string): Promise<boolean>;

  /**
   * Deletes every session of the user but `exceptId`; how many. Ordered against `open`: a session is either there to
   * be deleted or opened afterwards.
   */
  abstract deleteByUser(userId: string, exceptId?: string): Promise<number>;

  /** All sessions of the user with the user, live or not, most recently used first. */
  abstract listByUser(userId: string): Promise<AuthenticatedSession[]>;
}
