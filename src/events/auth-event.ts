import type { AuthErrorCode } from '../auth.errors.js';

/**
 * Something that an operator or the owner of an account may want to know. `type` tells them apart; more types may be
 * added.
 *
 * None contains a token, a hash, a password or the id of a session. `login` and `ip` are personal data.
 */
export type AuthEvent =
  | LoginSucceeded
  | LoginFailed
  | PasswordDisabled
  | PasswordChanged
  | PasswordReset
  | AccountRegistered
  | EmailVerified
  | EmailChanged
  | EmailReverted
  | AccountDeleted
  | AdminActed
  | RoleChanged
  | FactorAdded
  | FactorRemoved
  | FactorReverted
  | FactorUsed
  | FactorRefused
  | FactorDisabled
  | BrowserTrusted
  | BrowserUntrusted
  | StepUpSucceeded
  | StepUpRefused
  | PasskeyCloneSuspected
  | IdentityLinked
  | IdentityUnlinked
  | ApiKeyCreated
  | ApiKeyRevoked
  | ApiKeyRefused
  | LoggedOut
  | SessionCreated
  | SessionImported
  | SessionRotated
  | SessionExtended
  | SessionRevoked
  | SessionReuseDetected
  | EphemeralTokenConsumed
  | EphemeralTokenRefused
  | MailSent
  | MailFailed
  | BreachCheckFailed
  | RateLimitReached;

interface EventBase<Type extends string> {
  readonly type: Type;
  /** Epoch ms. */
  readonly at: number;
}

interface LoginAttempt {
  /** What was typed, in the spelling of `normalizeLogin`, whether or not it exists; `null` if no name was asked for. */
  readonly login: string | null;
  /** The client's address, if known. */
  readonly ip: string | null;
  /** The methods of proof, such as `['password']`. */
  readonly factors: readonly string[];
}

/** An operator has done something to the account of somebody, by `AdminService`: the admin pages among others. */
export interface AdminActed extends EventBase<'admin.acted'> {
  /** Whose account it is. */
  readonly userId: string;
  /** Who has done it. */
  readonly adminId: string;
  readonly action: 'disable' | 'enable' | 'end_session' | 'end_sessions';
  /** The operator's address, if known. */
  readonly ip: string | null;
}

/** However the user logged in: through the routes of this module, or your own handler through `HttpSessions`. */
export interface LoginSucceeded extends EventBase<'login.succeeded'>, LoginAttempt {
  readonly userId: string;
}

/** A failed attempt. One that a limit refuses is not emitted: `rate_limit.reached` is, once. */
export interface LoginFailed extends EventBase<'login.failed'>, LoginAttempt {
  /** `INVALID_CREDENTIALS`, or the fault that kept the attempt from being judged. */
  readonly reason: Exclude<AuthErrorCode, 'RATE_LIMITED'> | 'UNKNOWN';
}

/**
 * An account has had so many wrong passwords in a row (`password.maxFailures`) that its password no longer opens it; a
 * new one does. While `exceptKnownPlaces`, the password still works on the devices and at the addresses from which the
 * account was logged in to before; if that part is used up too, it is emitted again. With a `mailer` the owner has been
 * told each time.
 */
export interface PasswordDisabled extends EventBase<'password.disabled'> {
  readonly userId: string;
  /** The name that was typed last, in the spelling of `normalizeLogin`. */
  readonly login: string;
  /** The address of the last attempt, if known. */
  readonly ip: string | null;
  /** In a row. */
  readonly failures: number;
  readonly exceptKnownPlaces: boolean;
}

/**
 * A user has set a new password, proving the old one (`PasswordChangeService`). The sessions that ended are told as
 * `session.revoked`. With a `mailer` the owner has been told.
 */
export interface PasswordChanged extends EventBase<'password.changed'> {
  readonly userId: string;
  /** The client's address, if known. */
  readonly ip: string | null;
}

/** A user has set a new password by a mailed link (`PasswordResetService`); otherwise as `PasswordChanged`. */
export interface PasswordReset extends EventBase<'password.reset'> {
  readonly userId: string;
  /** The client's address, if known. */
  readonly ip: string | null;
}

/** Somebody has opened an account and proved its mailbox (`RegistrationService`); `email.verified` follows. */
export interface AccountRegistered extends EventBase<'account.registered'> {
  readonly userId: string;
  /** The client's address, if known. */
  readonly ip: string | null;
}

/** The mailbox of an account is known to be its owner's from now on. The address is not included. */
export interface EmailVerified extends EventBase<'email.verified'> {
  readonly userId: string;
  /** The client's address, if known. */
  readonly ip: string | null;
}

/** An account has another address, which its owner has confirmed. The old address is told by mail. */
export interface EmailChanged extends EventBase<'email.changed'> {
  readonly userId: string;
}

/** The owner of the old address has taken a change of address back. Somebody may have had the account: look at it. */
export interface EmailReverted extends EventBase<'email.reverted'> {
  readonly userId: string;
}

export interface AccountDeleted extends EventBase<'account.deleted'> {
  readonly userId: string;
}

/** What an account may do has been set anew. */
export interface RoleChanged extends EventBase<'role.changed'> {
  readonly userId: string;
  /** The roles that it has from now on. */
  readonly roles: readonly string[];
}

interface OfFactor {
  readonly userId: string;
  /** The method, such as `totp`. */
  readonly factor: string;
  /** The client's address, if known. */
  readonly ip: string | null;
}

/** A user has another second factor, or new backup codes. With a `mailer` the owner has been told. */
export interface FactorAdded extends EventBase<'factor.added'>, OfFactor {}

/** A user has one second factor less. With a `mailer` the owner has been told. */
export interface FactorRemoved extends EventBase<'factor.removed'>, OfFactor {}

/**
 * An owner has taken back the first second factor of the account, and all that came since, by the link in the mail about
 * it. Somebody may have had the account: look at it.
 */
export interface FactorReverted extends EventBase<'factor.reverted'> {
  readonly userId: string;
}

/** A second factor has been proved, at a login, a step-up or its enrolment. */
export interface FactorUsed extends EventBase<'factor.used'>, OfFactor {}

/** A response to a second factor was wrong, or the user does not have the factor. */
export interface FactorRefused extends EventBase<'factor.refused'>, OfFactor {}

/**
 * A second factor has been answered wrongly so many times in a row that it is disabled; others are not. With a `mailer`
 * the owner has been told.
 */
export interface FactorDisabled extends EventBase<'factor.disabled'>, OfFactor {
  /** In a row. */
  readonly failures: number;
}

/** The logins of an account go without their second step in this browser from now on, for a while. */
export interface BrowserTrusted extends EventBase<'browser.trusted'> {
  readonly userId: string;
  /** The client's address, if known. */
  readonly ip: string | null;
}

/** An account trusts none of these browsers any more. One that ended with the account's tokens is not told of. */
export interface BrowserUntrusted extends EventBase<'browser.untrusted'> {
  readonly userId: string;
  /** How many there were. */
  readonly count: number;
}

interface StepUpAttempt extends OfSession {
  /** The client's address, if known. */
  readonly ip: string | null;
  /** The methods of the proof, such as `['password']`. */
  readonly factors: readonly string[];
}

/** The user of a session has proved again who they are (`StepUpService`). */
export interface StepUpSucceeded extends EventBase<'step_up.succeeded'>, StepUpAttempt {
  /** The assurance that the session has from now on. */
  readonly aal: 1 | 2;
}

/** A step-up has failed; the session goes on as it was. One that a limit refuses is not emitted, as with `LoginFailed`. */
export interface StepUpRefused extends EventBase<'step_up.refused'>, StepUpAttempt {
  /** `INVALID_CREDENTIALS`, or why the proof was not judged. */
  readonly reason: AuthErrorCode;
}

/**
 * The counter of a passkey was not above the one before, so there may be a copy of its authenticator. It proved nothing,
 * and with a `mailer` the owner has been told. The passkey stays.
 */
export interface PasskeyCloneSuspected extends EventBase<'passkey.clone_suspected'> {
  readonly userId: string;
  /** Its public name. */
  readonly passkeyId: string;
}

interface OfIdentity {
  readonly userId: string;
  /** The id of the provider in `flows.oidc.providers`. */
  readonly provider: string;
  /** The client's address, if known. */
  readonly ip: string | null;
}

/** A user logs in by an account at this provider too. With a `mailer` the owner has been told. */
export interface IdentityLinked extends EventBase<'identity.linked'>, OfIdentity {}

/** A user does not log in by this provider any more. With a `mailer` the owner has been told. */
export interface IdentityUnlinked extends EventBase<'identity.unlinked'>, OfIdentity {}

interface OfApiKey {
  readonly userId: string;
  /** Public name of the key: `ApiKey.id`. */
  readonly keyId: string;
}

/** A user has made an API key (`ApiKeyService`). With a `mailer` the owner has been told. */
export interface ApiKeyCreated extends EventBase<'api_key.created'>, OfApiKey {
  readonly scopes: readonly string[];
  /** Epoch ms. */
  readonly expiresAt: number;
  /** The client's address, if known. */
  readonly ip: string | null;
}

/** An API key was revoked before it expired. Those that end with everything of an account are not told one by one. */
export interface ApiKeyRevoked extends EventBase<'api_key.revoked'>, OfApiKey {}

/** A request with an API key was refused. One that a limit refuses is not emitted: `rate_limit.reached` is, once. */
export interface ApiKeyRefused extends EventBase<'api_key.refused'> {
  /** `null` if there is no such key. */
  readonly userId: string | null;
  readonly keyId: string | null;
  readonly reason: ApiKeyRefusal;
  /** The client's address, if known. */
  readonly ip: string | null;
}

/**
 * - `unknown`: there is no such key. `expired`, `revoked`: there was.
 * - `owner`: the account is disabled, or everything of it was ended since the key was made.
 * - `scope`: the key does not have the scope, or its owner lacks the role by now.
 */
export type ApiKeyRefusal = 'unknown' | 'expired' | 'revoked' | 'owner' | 'scope';

/** A user has ended their own session, through the routes of this module or `HttpSessions`. */
export interface LoggedOut extends EventBase<'logout'> {
  readonly userId: string;
  /** `null` if all of them were ended. */
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

/**
 * A session of the system that the application moves in from has been taken over (`legacySessions`); `login.succeeded`
 * and `session.created` are emitted too.
 */
export interface SessionImported extends EventBase<'session.imported'> {
  readonly userId: string;
  /** The name of the source, such as `express-session`. */
  readonly source: string;
  /** The client's address, if known. */
  readonly ip: string | null;
}

/** The session has a new token (`SessionService.rotate` without a login, or a step-up); its handle stays. */
export interface SessionRotated extends EventBase<'session.rotated'>, OfSession {
  readonly ip: string | null;
}

/** Use of the session has extended it. */
export interface SessionExtended extends EventBase<'session.extended'>, OfSession {
  /** Epoch ms. */
  readonly expiresAt: number;
}

/**
 * A session was ended before it expired. For JWTs and signed cookies it is emitted only when everything of a user is
 * ended.
 */
export interface SessionRevoked extends EventBase<'session.revoked'> {
  readonly userId: string;
  /** `null` if all of the user's were ended, or all but one. */
  readonly handle: string | null;
  readonly reason: RevocationReason;
  /** The number of sessions ended; `null` if it is not known. */
  readonly count: number | null;
}

/**
 * - `logout`: the client sent its token to end it. `revoked`: by its id, from your code.
 * - `revoked_by_handle`: from the list of sessions. `revoked_all`: "log out everywhere".
 * - `replaced_by_login`: by a login that sent its cookie, or a JWT by the next one of a step-up. `cap`: it was the least recently used of too many.
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
 * A rotated session token was presented after its grace period, so somebody has a copy of it. Every session it led to
 * has ended.
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

/** The mailer has taken a mail. The address is not included. */
export interface MailSent extends EventBase<'mail.sent'> {
  /** What it is about, such as `password_reset`: see `MailFacts`. */
  readonly kind: string;
  /** Whose account it is about; `null` if there is none yet. */
  readonly userId: string | null;
}

/** A mail was not sent, and the token that it was to bring is void. */
export interface MailFailed extends EventBase<'mail.failed'> {
  /** `null` if it had not been decided whether there was a mail to send. */
  readonly kind: string | null;
  readonly userId: string | null;
  readonly reason: MailFailureReason;
}

/**
 * - `refused`: the mailer threw. `timeout`: it took longer than `mail.timeout`.
 * - `queue_full`: too many were waiting. `shutdown`: there was no time left for it.
 * - `address`: the stored address is not exactly one mailbox. `fault`: a fault before the mailer had it.
 */
export type MailFailureReason = 'refused' | 'timeout' | 'queue_full' | 'shutdown' | 'address' | 'fault';

/** `password.breachCheck` could not tell whether a new password has leaked. */
export interface BreachCheckFailed extends EventBase<'breach_check.failed'> {
  readonly reason: BreachCheckFault;
}

/**
 * - `timeout`: it took longer than `password.breachCheck.timeout`. `unreachable`: `fetch` threw.
 * - `status`: an answer other than 200. `malformed`: not in the format of the service.
 */
export type BreachCheckFault = 'timeout' | 'unreachable' | 'status' | 'malformed';

/** A limit has been reached. Emitted once until it allows events again, in each process that notices. */
export interface RateLimitReached extends EventBase<'rate_limit.reached'> {
  readonly event: string;
  /** The subject as it is counted: a login name, an address (IPv6 by /64), or a hash of one too long for the column. */
  readonly subject: string;
  /** Epoch ms: when the next event is allowed. */
  readonly until: number;
}
