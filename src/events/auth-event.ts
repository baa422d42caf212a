import type { AuthErrorCode } from '../auth.errors.js';

/**
 * Something that an operator or an account's owner wants to know of. `type` distinguishes them; more types may be
 * added.
 *
 * None contains a token, a hash, a password or the id of a session. `login` and `ip` are personal data.
 */
export type AuthEvent =
  | LoginSucceeded
  | LoginFailed
  | LoggedOut
  | SessionCreated
  | SessionRotated
  | SessionExtended
  | SessionRevoked
  | SessionReuseDetected
  | EphemeralTokenConsumed
  | EphemeralTokenRefused
  | RateLimitReached;

interface EventBase<Type extends string> {
  readonly type: Type;
  /** Epoch ms. */
  readonly at: number;
}

interface LoginAttempt {
  /** What was typed, in the spelling of `normalizeLogin`, whether it exists or not; `null` where no name was asked for. */
  readonly login: string | null;
  /** The client's address, where it is known. */
  readonly ip: string | null;
  /** The kind of proof that was given. */
  readonly factors: readonly string[];
}

/** Whichever way in: the routes of this module, or a login of the host's own through `HttpSessions`. */
export interface LoginSucceeded extends EventBase<'login.succeeded'>, LoginAttempt {
  readonly userId: string;
}

/** An attempt that a limit refuses is none: of a limit `rate_limit.reached` is emitted, once. */
export interface LoginFailed extends EventBase<'login.failed'>, LoginAttempt {
  /** `INVALID_CREDENTIALS`, or the fault for which the attempt was not judged. */
  readonly reason: Exclude<AuthErrorCode, 'RATE_LIMITED'> | 'UNKNOWN';
}

/** Somebody has ended their own session, through the routes of this module or `HttpSessions`. */
export interface LoggedOut extends EventBase<'logout'> {
  readonly userId: string;
  /** `null`: all of them. */
  readonly handle: string | null;
  readonly ip: string | null;
}

interface OfSession {
  readonly userId: string;
  /** Public name of the session. */
  readonly handle: string;
}

/** A user has logged in and has a new session in the store. */
export interface SessionCreated extends EventBase<'session.created'>, OfSession {
  readonly ip: string | null;
}

/** The session has a new token (`SessionService.rotate` without a login); its handle stays. */
export interface SessionRotated extends EventBase<'session.rotated'>, OfSession {
  readonly ip: string | null;
}

/** Its use has moved the expiry. */
export interface SessionExtended extends EventBase<'session.extended'>, OfSession {
  /** Epoch ms. */
  readonly expiresAt: number;
}

/** A session has ended before its time. Of JWTs and signed cookies, only the end of all of a user is emitted. */
export interface SessionRevoked extends EventBase<'session.revoked'> {
  readonly userId: string;
  /** `null`: all of the user's, or all but one. */
  readonly handle: string | null;
  readonly reason: RevocationReason;
  /** The number of sessions ended; `null` if it is not known. */
  readonly count: number | null;
}

/**
 * - `logout`: its token was sent to be ended. `revoked`: by its id, from the host's code.
 * - `revoked_by_handle`: from the list of sessions. `revoked_all`: "log out everywhere".
 * - `replaced_by_login`: a login with its cookie. `cap`: it was the least recently used of too many.
 * - `password_changed`, `disabled`: the account was changed. `reuse`: see `SessionReuseDetected`.
 */
export type RevocationReason =
  | 'logout'
  | 'revoked'
  | 'revoked_by_handle'
  | 'revoked_all'
  | 'replaced_by_login'
  | 'cap'
  | 'password_changed'
  | 'disabled'
  | 'reuse';

/**
 * A rotated session token was presented after its grace: somebody has a copy of it. Every session that it led to has
 * ended.
 */
export interface SessionReuseDetected extends EventBase<'session.reuse_detected'>, OfSession {}

/** A single-use token was spent. */
export interface EphemeralTokenConsumed extends EventBase<'token.consumed'> {
  /** The type; the token is not included. */
  readonly tokenType: string;
  /** `null` for a token that belongs to no account. */
  readonly userId: string | null;
}

/** A single-use token was refused: unknown, spent, expired, or without its binding. */
export interface EphemeralTokenRefused extends EventBase<'token.refused'> {
  readonly tokenType: string;
}

/** A limit refuses from now on. Emitted once until the refusal ends, in each process that notices. */
export interface RateLimitReached extends EventBase<'rate_limit.reached'> {
  readonly event: string;
  /** As it is counted: a login name, an address (IPv6 by /64), or a hash of what is too long for the column. */
  readonly subject: string;
  /** Epoch ms: when one more is allowed. */
  readonly until: number;
}
