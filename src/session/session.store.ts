import type { SessionDataChange, StoredSessionData } from './session-data.js';
import type { AssuranceLevel, AuthenticatedSession, EndedSession, Session, StoredSession } from './session.js';

/** The input for a new session. Instants and durations are in milliseconds. */
export interface NewSession {
  readonly id: string;
  readonly userId: string;
  readonly now: number;
  readonly ttl: number;
  readonly absoluteLifetime: number;
  /** What the login chose, if it could choose: stored, and returned with the session. A mere rotation keeps it. */
  readonly remembered?: boolean | undefined;
  /** For a mere rotation: `ttl` in case the session that it replaces is a remembered one. Default: `ttl`. */
  readonly rememberedTtl?: number | undefined;
  /**
   * When the user proved who they are. `null` is a mere rotation: the new session keeps the authentication, absolute
   * lifetime and handle of the one it replaces, and is not created without it.
   */
  readonly authenticatedAt: number | null;
  /** What that proof was worth: stored, and returned with the session. Default 1. A mere rotation keeps it. */
  readonly aal?: AssuranceLevel | undefined;
  /** How it was done, as `Session.amr`. Default: not known. */
  readonly amr?: readonly string[] | undefined;
  /**
   * Whether this is an elevation: the user of the session `replaces` has proved again who they are. As a mere rotation it
   * keeps handle and data, and is not created without that session; the authentication and the lifetimes are new.
   * Default false.
   */
  readonly elevates?: boolean;
  /**
   * The account's `tokensInvalidatedAfter` as it was read with the password; `undefined` if unknown. If the account is
   * now disabled or has another cutoff, nothing is opened: the login is out of date. Stores without a user table leave
   * that to the lookup.
   */
  readonly cutoff?: number | null;
  /** Id of the session that ends in the same transaction. */
  readonly replaces: string | null;
  /** Stored in place of the old session by a mere rotation, and returned by `find`. Opaque to the store. */
  readonly successor: string | null;
  /** How long the successor is needed, in milliseconds. */
  readonly rotationGrace: number;
  readonly maxPerUser: number;
  readonly ip: string | null;
  readonly userAgent: string | null;
}

/** A new session, and every live session that ended because of it. */
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
  /** The desired expiry; the store never sets one past the absolute lifetime. */
  readonly expiresAt: number;
  readonly extendBelow: number;
}

export interface DataUpdate {
  readonly id: string;
  readonly now: number;
  readonly change: SessionDataChange;
}

/**
 * Where sessions are stored. Every implementation guarantees, and `test/contract/session-store.contract.ts` checks:
 *
 * - A missing session is `null`, `false` or 0, never an error. A fault of the storage is thrown (`STORE_UNAVAILABLE`)
 *   and never answered with "missing": an outage is not a logout.
 * - Only writing methods judge whether a session is live; for readers, that rule is `isLive` in `session.ts`.
 * - Each method is one decision, atomic against every other in every process. Whatever the order, neither `extend` nor
 *   `open` can bring back a deleted session.
 * - A session, what it was rotated from and what it was rotated to form one **family**, identified by user and handle.
 *   It ends as a whole, whichever member is named, even while a rotation is in progress.
 * - A rotated session is kept, so that its id is recognised when it is presented again, but it is no longer a session:
 *   it is not listed, not extended, not rotated again, and is excluded from every count returned here and from
 *   `maxPerUser`. Of each user, at least the 25 rotated most recently are kept, and at most that or `maxPerUser`,
 *   whichever is more.
 */
export abstract class SessionStore {
  /**
   * Whether its changes are part of the open `AuthTransaction` and rolled back with it. If not, they take effect at
   * once.
   */
  readonly joinsTransactions: boolean = true;

  /** Whether `findCached` ever answers. */
  readonly hasCache: boolean = false;

  /**
   * The session and its user as they are now, live or not; `null` if either is missing. `id` is 64 hex digits. For a
   * rotated session, also when it was rotated and what `open` was given as `successor`. With a `Clock` that
   * `isWallClock`, how long ago that was is measured by the storage's clock, since `open` ran in another process.
   */
  abstract find(id: string): Promise<StoredSession | null>;

  /** What `find` would return, if it is in memory, live and `isUsable`; otherwise `undefined`: call `find`. */
  findCached(_id: string, _isUsable: (session: Session) => boolean): StoredSession | undefined {
    return undefined;
  }

  /**
   * Stores a new session. Never leaves a user with more than `maxPerUser` sessions, even under concurrent logins: the
   * least recently used are deleted in the same transaction.
   *
   * With `replaces`, a login deletes that session's family, whoever owns it, in the same transaction; if that fails,
   * nothing is stored. A mere rotation (`authenticatedAt` null) or an elevation (`elevates`) marks that session as
   * rotated. Of several concurrent ones, exactly one succeeds.
   *
   * Returns `null`, with nothing changed, for a mere rotation or an elevation whose old session is gone, over, rotated
   * already or another user's, and for a login or an elevation whose account has changed since (`cutoff`). Throws
   * `USER_NOT_FOUND` if the storage knows the users and none has this id.
   */
  abstract open(session: NewSession): Promise<OpenedSession | null>;

  /**
   * Moves the expiry, unless the session is gone, over, rotated, or has been extended meanwhile. Returns the expiry now
   * in force, or `null` if nothing was written. Of several concurrent callers, exactly one gets the new expiry.
   */
  abstract extend(extension: Extension): Promise<number | null>;

  /**
   * Changes the session's data field by field, and returns all of it as it is now. `null`, with nothing changed, if the
   * session is gone, over or rotated, or would have more than `MAX_SESSION_DATA`. Concurrent changes of different
   * fields are all kept; of the same field, the last one. A mere rotation takes the data along, a login starts without.
   */
  abstract updateData(update: DataUpdate): Promise<StoredSessionData | null>;

  /**
   * Deletes the families of these sessions, which may be rotated ones. Returns every session that ended, in no
   * particular order: rotated ones are not among them, and each session is returned once, however many of its ids or
   * callers name it.
   */
  abstract delete(ids: readonly string[]): Promise<EndedSession[]>;

  /**
   * Deletes the family of a rotated session whose token was presented again. Across all processes, exactly one
   * concurrent caller gets true. False if there is no longer a rotated session with this id.
   */
  abstract deleteReused(id: string): Promise<boolean>;

  /** Deletes the user's family with this handle. False, without any effect, for an unknown handle or another user's. */
  abstract deleteByHandle(userId: string, handle: string): Promise<boolean>;

  /**
   * Deletes every session of the user except the family of `exceptId`. Returns the number of sessions deleted. Ordered
   * against `open`: a session either exists and is deleted, or is opened afterwards.
   */
  abstract deleteByUser(userId: string, exceptId?: string): Promise<number>;

  /** The ids of these sessions' users, including those of rotated sessions; deleted sessions are left out. One read. */
  abstract ownersOf(ids: readonly string[]): Promise<readonly string[]>;

  /** All sessions of the user, each with the user, live or not but never rotated, most recently used first. */
  abstract listByUser(userId: string): Promise<AuthenticatedSession[]>;

  /**
   * Forgets at most `limit` successors left by rotations up to `rotatedAt` (as in `find`), whose grace period is over;
   * the rotated sessions stay known. Returns the number forgotten. A storage with expiry of its own has nothing to do.
   */
  deleteSuccessors(_rotatedAt: number, _limit: number): Promise<number> {
    return Promise.resolve(0);
  }

  /**
   * Deletes at most `limit` rows that had expired at `now`, the oldest first. Returns the number deleted. A rotated one
   * goes only once its absolute lifetime is over too, since its token may be presented again until then. Never waits,
   * and invalidates no cache. A storage with expiry of its own has nothing to do.
   */
  deleteExpired(_now: number, _limit: number): Promise<number> {
    return Promise.resolve(0);
  }
}
