import type { AssuranceLevel } from '../session/session.js';

/** A session JWT that is about to be handed out. Instants are epoch ms. */
export interface NewJwtSession {
  readonly jti: string;
  /** Its public name, a UUID. */
  readonly handle: string;
  readonly userId: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly ip: string | null;
  readonly userAgent: string | null;
  /** What the proofs of its user are worth, and their methods. */
  readonly aal: AssuranceLevel;
  readonly amr: readonly string[];
}

/** A session JWT that was handed out. */
export type JwtSession = Omit<NewJwtSession, 'userId'>;

/** Which of a user's JWTs still authenticate: those that have not expired at `now`, issued after `cutoff` (epoch ms). */
export interface LiveAt {
  readonly now: number;
  readonly cutoff: number | null;
}

/**
 * The session JWTs that were handed out. It only lists them: whether one authenticates is decided by its signature, the
 * list of revoked tokens and the account's cutoff. A JWT that is expired, revoked or issued up to the cutoff is not
 * listed; no call is needed when it ends, and the user's next one removes its row. A fault is thrown (`STORE_UNAVAILABLE`).
 */
export abstract class JwtSessionStore {
  /**
   * Records the JWT, and returns those live ones of the user, `replaced` left out, that exceed `max` with it: those
   * issued first. Call it in a transaction and revoke them there: concurrent calls for one user wait for its end.
   *
   * @throws {AuthError} `USER_NOT_FOUND` if the storage knows the users and none has this id.
   */
  abstract add(
    session: NewJwtSession,
    options: LiveAt & { readonly max: number; readonly replaced: string | null },
  ): Promise<readonly JwtSession[]>;

  /** The user's live JWTs, the latest first; none for an id that no user can have. */
  abstract listByUser(userId: string, at: LiveAt): Promise<readonly JwtSession[]>;

  /** The user's live JWT with this handle, a UUID; `null` for another user's. */
  abstract findByHandle(userId: string, handle: string, at: LiveAt): Promise<JwtSession | null>;

  /** Deletes at most `limit` of those that had expired at `now`, the oldest first. Returns the number deleted. */
  abstract deleteExpired(now: number, limit: number): Promise<number>;
}
