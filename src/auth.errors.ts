/** What each error says besides its code. A fact is safe to log and to show: never a token, a hash or a password. */
export interface AuthErrorFacts {
  /** The host's options are invalid. `mistakes` lists every mistake with its remedy. */
  INVALID_CONFIG: { mistakes: readonly string[] };
  /** The tables or functions of this module are missing or older than the code: run the migrations. */
  SCHEMA_MISSING: { detail: string };
  /** No credentials, or credentials that are malformed, unknown, expired or revoked. It does not say which. */
  UNAUTHENTICATED: Record<never, never>;
  /** A logged-in user asked for a page for guests; `redirectTo` is where they belong. */
  ALREADY_AUTHENTICATED: { redirectTo: string };
  /** Wrong password, unknown account or disabled account: all three look the same. */
  INVALID_CREDENTIALS: Record<never, never>;
  /** A signed token that is not valid. */
  INVALID_TOKEN: { reason: TokenFault };
  /** A token that was revoked, by a logout for example. */
  TOKEN_REVOKED: Record<never, never>;
  /** A valid token of an account that is disabled or deleted. */
  ACCOUNT_INACTIVE: Record<never, never>;
  /** A valid token that was issued before its user signed out everywhere or changed the password. */
  TOKENS_INVALIDATED: Record<never, never>;
  /** A state-changing request that a browser sent from a foreign site. */
  CROSS_ORIGIN_REQUEST: { origin: string };
  /** Input of the wrong shape. `fields` maps the field to what is expected of it, never to what was sent. */
  INVALID_INPUT: { fields: Readonly<Record<string, string>> };
  /** The user has no session with this handle. Another user's handle gets the same answer. */
  SESSION_NOT_FOUND: Record<never, never>;
  /** A service was asked to act for a user id that no account has. */
  USER_NOT_FOUND: Record<never, never>;
  /** No account exists yet. */
  SETUP_INCOMPLETE: Record<never, never>;
  /** The event's limit is reached for this subject. `retryAfter` is in whole seconds, rounded up. */
  RATE_LIMITED: { event: string; retryAfter: number; limit: number };
  /** More passwords wait to be hashed than the queue holds. `retryAfter` is in whole seconds. */
  HASHER_OVERLOADED: { retryAfter: number };
  /** The host's own implementation of a port lacks an operation. */
  UNSUPPORTED: { operation: string };
  /** The database (or the host's own directory) did not answer. Nothing is known about the caller's credentials. */
  STORE_UNAVAILABLE: { part: string };
}

/**
 * Why a signed token was refused. For the log and for the words on a page ("this link has expired"); all of them mean
 * that the token proves nothing.
 *
 * - `signature`: not signed with the configured algorithm by a key of the expected purpose; this includes forged and
 *   truncated tokens
 * - `expired`: signed by us, but expired (`now >= exp`)
 * - `purpose`, `audience`: signed by us, for another purpose or audience
 * - `missing_claim`: one of sub, exp, iat, jti, purpose is missing or null
 * - `malformed`: no JWT, a header that asks for more than a signature, or claims of the wrong type
 */
export type TokenFault = 'signature' | 'expired' | 'purpose' | 'audience' | 'missing_claim' | 'malformed';

/** Stable: a code is never renamed, and never changes its meaning. */
export type AuthErrorCode = keyof AuthErrorFacts;

/**
 * Every error this module throws. `code` says what happened, `facts` with which values, `message` what to do about it.
 * It knows nothing of HTTP: `http/auth-error.filter.ts` holds the one table from code to status.
 */
export class AuthError<Code extends AuthErrorCode = AuthErrorCode> extends Error {
  constructor(
    readonly code: Code,
    message: string,
    readonly facts: AuthErrorFacts[Code],
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'AuthError';
  }
}

/** True for an `AuthError` of this code; narrows its facts. */
export function isAuthError<Code extends AuthErrorCode>(error: unknown, code: Code): error is AuthError<Code> {
  return error instanceof AuthError && error.code === code;
}

/** Turns a fault of a port that is not an `AuthError` into one: an outage, not an answer. */
export function asAuthError(error: unknown, part: string): AuthError {
  if (error instanceof AuthError) return error;
  return new AuthError('STORE_UNAVAILABLE', `${part} failed; see the cause.`, { part }, { cause: error });
}
