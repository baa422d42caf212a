import type { AuthenticatedSession, EndedSession, Session, StoredSession } from './session.js';

/** What a new session is made of. Instants and lengths are milliseconds. */
export interface NewSession {
  readonly id: string;
  readonly userId: string;
  readonly now: number;
  readonly ttl: number;
  readonly absoluteLifetime: number;
  /**
   * When the user proved who they are. `null` is a mere rotation: the new session carries the authentication, the
   * absolute lifetime and the handle of the one it replaces, and there is none without it.
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
  /** What a mere rotation leaves in the old session's place, for `find` to answer with. Opaque to the store. */
  readonly successor: string | null;
  /** How long the successor is needed. */
  readonly rotationGrace: number;
  readonly maxPerUser: number;
  readonly ip: string | null;
  readonly userAgent: string | null;
}

/** A new session, and every session that was live and has ended for it. */
export interface OpenedSession {
  readonly session: Session;
  readonly ended: readonly EvictedSession[];
}

export interface EvictedSession {
  readonly session: EndedSession;
  readonly because: 'replaced_by_login' | 'cap';
}

export interface Extension {
  readonly id: string;
  readonly now: number;
  /** The expiry wanted; the store never sets one past the absolute lifetime. */
  readonly expiresAt: number;
  readonly extendBelow: number;
}

/**
 * Where sessions are stored. Every implementation guarantees, and `test/contract/session-store.contract.ts` checks:
 *
 * - A missing session is `null`, `false` or 0, never an error. A fault of the storage is thrown (`STORE_UNAVAILABLE`)
 *   and is never answered with "missing": an outage is not a logout.
 * - Only writing methods judge whether a session is live: for readers that rule is in `session.ts`.
 * - Each method is one decision, atomic against every other in every process. In whatever order they meet, a session
 *   that was deleted is never back, by no `extend` and no `open`.
 * - A session, what it was rotated from and what it was rotated to are one **family**: user and handle name it. It ends
 *   as a whole, whichever of them is named, also when a rotation is under way meanwhile.
 * - A rotated session is kept, so that its id is known when it comes again, but it is no session any more: it is not
 *   listed, not extended, not rotated again, and counts in no number that is answered here nor against `maxPerUser`.
 *   Of one user at least the 25 that were rotated last are kept, and at most that or `maxPerUser`, if that is more.
 */
export abstract class SessionStore {
  /**
   * Whether its changes are part of the open `AuthTransaction` and rolled back with it. Otherwise they happen at once.
   */
  readonly joinsTransactions: boolean = true;

  /** Whether `findCached` may answer at all. */
  readonly hasCache: boolean = false;

  /**
   * The session and its user as they are now, live or not; `null` when either is missing. `id` is 64 hex digits. Of a
   * rotated one also when that was and what `open` was given as `successor`.
   */
  abstract find(id: string): Promise<StoredSession | null>;

  /** What `find` would return, if memory knows it and it is live and `isUsable`; `undefined`: call `find`. */
  findCached(_id: string, _isUsable: (session: Session) => boolean): StoredSession | undefined {
    return undefined;
  }

  /**
   * Stores a new session. Of `maxPerUser` concurrent and older ones exactly that many are left: the least recently used
   * go in the same transaction.
   *
   * With `replaces` a login deletes that session's family, of whichever user, in the same transaction; when that fails,
   * nothing is stored. A mere rotation (`authenticatedAt` null) marks that session as rotated, of concurrent ones one.
   *
   * `null`, and nothing has changed: for a mere rotation whose old session is gone, over, rotated already, or of another
   * user, and for a login whose account has changed since (`cutoff`). Throws `USER_NOT_FOUND` where the storage knows the
   * users and there is none of this id.
   */
  abstract open(session: NewSession): Promise<OpenedSession | null>;

  /**
   * Moves the expiry, unless the session is gone, over, rotated, or was extended meanwhile. Answers the expiry now in force, or
   * `null` when nothing was written: of concurrent callers one gets it.
   */
  abstract extend(extension: Extension): Promise<number | null>;

  /**
   * Deletes the families of these sessions, rotated ones among them. Returns every session that ended, in no order: none
   * for what was rotated, and each once, however many of its ids are named and however many callers name it.
   */
  abstract delete(ids: readonly string[]): Promise<EndedSession[]>;

  /**
   * Deletes the family of a rotated session that has come again. Of concurrent callers in all processes true for one;
   * false when there is no rotated session of this id any more.
   */
  abstract deleteReused(id: string): Promise<boolean>;

  /** Deletes the user's family of this handle. False, without any effect, for a foreign or unknown handle. */
  abstract deleteByHandle(userId: string, handle: string): Promise<boolean>;

  /**
   * Deletes every session of the user but the family of `exceptId`. Returns the number of sessions deleted. Ordered
   * against `open`: a session is either there to be deleted or opened afterwards.
   */
  abstract deleteByUser(userId: string, exceptId?: string): Promise<number>;

  /** The ids of the users of these sessions, rotated ones included; deleted sessions are left out. One read. */
  abstract ownersOf(ids: readonly string[]): Promise<readonly string[]>;

  /** All sessions of the user with the user, live or not, but no rotated one, most recently used first. */
  abstract listByUser(userId: string): Promise<AuthenticatedSession[]>;

  /**
   * Forgets at most `limit` successors that were left by rotations up to `rotatedAt`, whose grace is over; the rotated
   * sessions stay known. Returns the number. A storage that forgets by itself has nothing to do.
   */
  deleteSuccessors(_rotatedAt: number, _limit: number): Promise<number> {
    return Promise.resolve(0);
  }

  /**
   * Deletes at most `limit` rows that were over at `now`, the oldest first. Returns the number deleted. A rotated one
   * goes only once its absolute lifetime is over too, since until then its token may come again. Waits for nobody, and
   * invalidates no cache. A storage that forgets by itself has nothing to do.
   */
  deleteExpired(_now: number, _limit: number): Promise<number> {
    return Promise.resolve(0);
  }
}
