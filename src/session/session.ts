import { minutes } from '../common/duration.js';
import { lifetimesOf, type SessionSettings } from '../config/session-settings.js';
import { handleOfJwt } from './jwt-handle.js';
import type { StoredSessionData } from './session-data.js';
import type { AuthUser } from '../user/user.directory.js';

/**
 * How sure it is who is asking: 1 is one factor, 2 is two, or one that is two by itself (NIST SP 800-63B-4, section 2).
 * See `aalOf`.
 */
export type AssuranceLevel = 1 | 2;

/** A session as the application sees it. Instants are epoch milliseconds. */
export interface Session {
  /** Lower-case hex SHA-256 of the token. Never show it: `handle` is the public name. */
  readonly id: string;
  /** Public name of the session, for lists and for `DELETE sessions/:handle`. It authenticates nobody. */
  readonly handle: string;
  readonly userId: string;
  readonly createdAt: number;
  /** The session expires at this instant, which is never after `absoluteExpiresAt`. */
  readonly expiresAt: number;
  /** No activity moves the session past this. */
  readonly absoluteExpiresAt: number;
  /** When the user last proved who they are, by a login or a step-up. Activity never moves it. */
  readonly authenticatedAt: number;
  /**
   * The assurance of those proofs, and not of what the account could prove: a factor that is enrolled later changes no
   * session. 1 for a signed cookie, and where another program has opened the session.
   */
  readonly aal: AssuranceLevel;
  /**
   * The methods of those proofs: `password`, `totp`, `passkey`, `passkey-presence`, `backup-code`, `email-code`,
   * `magic-link`, `oidc`, or names of the application's own; `stale` beside those that were proved before
   * everything of the account ended, or when nobody knows, which make nothing fresh. Empty where they are not known.
   */
  readonly amr: readonly string[];
  /** Written when the session is created and extended, so no finer than `session.ttl - session.extendBelow`. */
  readonly lastSeenAt: number;
  readonly ip: string | null;
  readonly userAgent: string | null;
  /**
   * Whether its login asked to be remembered, with `session.remembered`; missing if there was nothing to choose. Kept
   * when the session is extended or rotated.
   */
  readonly remembered?: boolean;
  /**
   * What the application keeps in the session, as it was when the session was read; see `SessionService.updateData`. A
   * JWT or signed cookie has none.
   */
  readonly data: StoredSessionData;
}

/** Whether the cookie of this session outlives the browser; otherwise it ends when the browser is closed. */
export function isPersistent({ remembered = true }: Pick<Session, 'remembered'>): boolean {
  return remembered;
}

/** A live session and its user. */
export interface AuthenticatedSession {
  readonly session: Session;
  readonly user: AuthUser;
}

/**
 * Whether this is a JWT or a signed cookie, which no row decides about. It has one name, its `jti` or `sid`; with
 * `jwt.registry`, a JWT has a handle that follows from it.
 */
export function isSelfContained({ id, handle }: Pick<Session, 'id' | 'handle'>): boolean {
  return id === handle || handle === handleOfJwt(id);
}

/**
 * The instant (epoch ms) that an account's cutoff is compared with: that of the proof, or when a JWT was issued, which may
 * be long after it.
 */
export function countsFrom(session: Session): number {
  return isSelfContained(session) ? session.createdAt : session.authenticatedAt;
}

/** A session that has ended, by the names that may be shown. */
export type EndedSession = Pick<Session, 'userId' | 'handle'>;

/** What a rotation leaves in place of the old session. */
export interface Rotation {
  /** Epoch ms on the clock of the process that has read it: how long ago it was is right whatever clock rotated it. */
  readonly at: number;
  /** The new token, encrypted under a key of `secrets` and bound to the old session's id; `null` if there is no grace. */
  readonly successor: string | null;
}

/** A session as it is stored, live or not. */
export interface StoredSession extends AuthenticatedSession {
  /** Not `null`: another session has taken its place, and this one authenticates nobody. */
  readonly rotated: Rotation | null;
}

/**
 * Whether a stored session authenticates its user at `now`. It is over at the exact instant of expiry, cutoff or
 * disabling, and once it is rotated, whatever the clocks say.
 *
 * JWTs and signed cookies have no row: `TokenRevocationService.userOf` in `src/revocation/` decides about those.
 */
export function isLive({ session, user, rotated = null }: LiveOrNot, now: number): boolean {
  return (
    rotated === null &&
    now < session.expiresAt &&
    now < session.absoluteExpiresAt &&
    (user.disabledAt ?? null) === null &&
    session.authenticatedAt > (user.tokensInvalidatedAfter ?? Number.NEGATIVE_INFINITY)
  );
}

type LiveOrNot = AuthenticatedSession & Partial<StoredSession>;

/** Whether the old token still leads to the new one at `now`; no longer at the exact end of the grace period. */
export function isInGrace({ at }: Rotation, now: number, { rotationGrace }: Readonly<SessionSettings>): boolean {
  return now < at + rotationGrace;
}

/**
 * The expiry that use at `now` gives the session, or `null` if nothing has to be written: enough time is left (exactly
 * `extendBelow` is enough), it is over already, or its absolute lifetime allows no more.
 */
export function extendedExpiry(session: Session, now: number, settings: Readonly<SessionSettings>): number | null {
  const { ttl, extendBelow } = lifetimesOf(session, settings);
  const remaining = session.expiresAt - now;
  if (remaining >= extendBelow || remaining <= 0) return null;
  const expiresAt = Math.min(now + ttl, session.absoluteExpiresAt);
  return expiresAt > session.expiresAt ? expiresAt : null;
}

/** How long an extension is told to the client again, at most: its answer may have been lost, and the cookie with it. */
const RENEWAL_REPEATED_FOR = minutes(5);

/**
 * Whether the session was extended so recently that the client may not know it yet. The token is the same as before, so
 * a client cannot show that it does. A twentieth of the time between two extensions at most, since such a session is not
 * answered from memory.
 */
export function isJustExtended(session: Session, now: number, settings: Readonly<SessionSettings>): boolean {
  const { ttl, extendBelow } = lifetimesOf(session, settings);
  const repeatedFor = Math.min(RENEWAL_REPEATED_FOR, (ttl - extendBelow) / 20);
  return session.lastSeenAt > session.createdAt && now - session.lastSeenAt < repeatedFor;
}
