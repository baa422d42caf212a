import { HttpException } from '@nestjs/common';

/**
 * The facts that each error carries besides its code. They are safe to log and to show: never a token, a hash or a
 * password.
 */
export interface AuthErrorFacts {
  /** The module's options are invalid. `mistakes` lists every mistake with its remedy. */
  INVALID_CONFIG: { mistakes: readonly string[] };
  /** The tables or functions of this module are missing or older than the code: run the migrations. */
  SCHEMA_MISSING: { detail: string };
  /** No credentials, or credentials that are malformed, unknown, expired or revoked. It does not say which. */
  UNAUTHENTICATED: Record<never, never>;
  /** A logged-in user asked for a page for guests; `redirectTo` is where they belong. */
  ALREADY_AUTHENTICATED: { redirectTo: string };
  /** Wrong password, unknown account or disabled account: all three look the same. */
  INVALID_CREDENTIALS: Record<never, never>;
  /**
   * The session is live, but does not prove enough for this handler (RFC 9470): `required` is what is lacking, `maxAge` in
   * whole seconds, `amr` any one of them. Each of `methods` is enough as a step-up; empty if the user has none.
   */
  STEP_UP_REQUIRED: { required: RequiredAssurance; methods: readonly string[] };
  /**
   * The second step of a login: its token is unknown, expired or another browser's, the user does not have the method, or
   * the response is wrong. It does not say which.
   */
  SECOND_FACTOR_REFUSED: Record<never, never>;
  /** A signed token that is not valid. */
  INVALID_TOKEN: { reason: TokenErrorReason };
  /** A mailed link or code that cannot be used: unknown, spent, expired, replaced by a newer one, or another browser's. */
  INVALID_LINK: Record<never, never>;
  /** A token that was revoked, by a logout for example. */
  TOKEN_REVOKED: Record<never, never>;
  /** A valid token of an account that is disabled or deleted. */
  ACCOUNT_INACTIVE: Record<never, never>;
  /** A valid token that was issued before its user signed out everywhere or changed the password. */
  TOKENS_INVALIDATED: Record<never, never>;
  /** A state-changing request that a browser sent from a foreign site. */
  CROSS_ORIGIN_REQUEST: { origin: string };
  /**
   * The user is logged in but may not do this: one of these roles is needed. With `scopes`, the request came with an API
   * key that lacks one of them, or with one where a session is needed (none).
   */
  FORBIDDEN: { roles: readonly string[]; scopes?: readonly string[] };
  /** Input of the wrong shape. `fields` maps the field to what is expected of it, never to what was sent. */
  INVALID_INPUT: { fields: Readonly<Record<string, string>> };
  /**
   * A new password that the policy refuses. `fields` says what is expected, `rules` which rules it breaks: `too_short`,
   * `too_long`, `common`, `contains_context`, `breached`, or one of your own policy.
   */
  WEAK_PASSWORD: { fields: Readonly<Record<string, string>>; rules: readonly string[] };
  /** The user has no session with this handle. Another user's handle gets the same answer. */
  SESSION_NOT_FOUND: Record<never, never>;
  /**
   * A passkey that cannot be added: the options that it answers are unknown, used, expired or another session's, its
   * answer is not valid, or it is registered already.
   */
  PASSKEY_REFUSED: Record<never, never>;
  /** The user has as many passkeys as an account may have. */
  PASSKEY_LIMIT: { limit: number };
  /** The user has no passkey with this id. Another user's gets the same answer. */
  PASSKEY_NOT_FOUND: Record<never, never>;
  /** To remove this would leave an account to which nobody can log in. */
  LAST_LOGIN_METHOD: Record<never, never>;
  /** There is no provider of this name: see `flows.oidc.providers`. */
  PROVIDER_NOT_FOUND: Record<never, never>;
  /** A login at a provider that cannot be finished: unknown, spent, expired, or begun in another browser or session. */
  LOGIN_EXPIRED: Record<never, never>;
  /** The provider has not logged the user in: they have cancelled it, or may not. */
  PROVIDER_REFUSED: Record<never, never>;
  /** The provider did not answer, or what it answered is not valid. Nobody is logged in. */
  PROVIDER_FAILED: { provider: string };
  /** There is an account with the address of this identity: its owner logs in as before, and then links it. */
  ACCOUNT_EXISTS: Record<never, never>;
  /** No account is linked with this identity, and none is opened for it. */
  NO_ACCOUNT: Record<never, never>;
  /** No account is opened for this identity, since its provider has not verified the address. */
  EMAIL_NOT_VERIFIED: Record<never, never>;
  /** The identity is linked with another account, or the account with another identity of that provider. */
  IDENTITY_IN_USE: Record<never, never>;
  /** The user has no identity with this id. Another user's id gets the same answer. */
  IDENTITY_NOT_FOUND: Record<never, never>;
  /** The user has no API key with this id. Another user's id gets the same answer. */
  API_KEY_NOT_FOUND: Record<never, never>;
  /** The user has as many live API keys as there may be. */
  TOO_MANY_API_KEYS: { limit: number };
  /** A session would hold more data than it may; nothing was changed. `limit` is in bytes. */
  SESSION_DATA_TOO_LARGE: { limit: number };
  /** A service was given the id or login name of an account that does not exist, or cannot be used. */
  USER_NOT_FOUND: Record<never, never>;
  /** No account exists yet. */
  SETUP_INCOMPLETE: Record<never, never>;
  /** The event's limit is reached for this subject. `retryAfter` is in whole seconds, rounded up. */
  RATE_LIMITED: { event: string; retryAfter: number; limit: number };
  /** More passwords wait to be hashed than the queue holds. `retryAfter` is in whole seconds. */
  HASHER_OVERLOADED: { retryAfter: number };
  /** The application's own implementation of a port lacks an operation. */
  UNSUPPORTED: { operation: string };
  /**
   * The database (or the application's own user directory) did not answer. Nothing is known about the caller's
   * credentials.
   */
  STORE_UNAVAILABLE: { part: string };
}

/** What a handler requires and the session lacks; at least one of them. */
export interface RequiredAssurance {
  /** The assurance level, as `@RequireAal`. */
  readonly aal?: number;
  /** A proof not as old as this, in seconds, as `@RequireFresh`. */
  readonly maxAge?: number;
  /** One of these methods, as `@RequireAmr`. */
  readonly amr?: readonly string[];
}

/**
 * Why a signed token was refused. For the log, and for the text on a page ("this link has expired"); in every case the
 * token proves nothing.
 *
 * - `signature`: not signed with the configured algorithm by a key of the expected purpose; this includes forged and
 *   truncated tokens
 * - `expired`: signed by us, but expired (`now >= exp`)
 * - `purpose`, `audience`: signed by us, for another purpose or audience
 * - `missing_claim`: one of sub, exp, iat, jti, purpose is missing or null
 * - `malformed`: not a JWT, a header that asks for more than a signature, or claims of the wrong type
 */
export type TokenErrorReason = 'signature' | 'expired' | 'purpose' | 'audience' | 'missing_claim' | 'malformed';

/** A rule that a new password breaks: see `PasswordPolicy`. */
export interface PasswordViolation {
  /** For programs, such as `too_short`. */
  readonly rule: string;
  /** For people, such as `must have at least 15 characters`; never the password or a part of it. */
  readonly expected: string;
}

/** Stable: a code is never renamed, and never changes its meaning. */
export type AuthErrorCode = keyof AuthErrorFacts;

/**
 * The one table from code to HTTP. The message is for the client; the error's own message is for the operator and may
 * say more.
 */
const ANSWERS: Record<AuthErrorCode, { status: number; message: string }> = {
  UNAUTHENTICATED: { status: 401, message: 'Authentication required.' },
  ALREADY_AUTHENTICATED: { status: 403, message: 'You are already logged in.' },
  INVALID_CREDENTIALS: { status: 401, message: 'Wrong e-mail address or password.' },
  STEP_UP_REQUIRED: { status: 401, message: 'Confirm that it is you.' },
  SECOND_FACTOR_REFUSED: { status: 401, message: 'The login has expired, or the code is wrong.' },
  INVALID_TOKEN: { status: 401, message: 'The token is not valid or has expired.' },
  TOKEN_REVOKED: { status: 401, message: 'The token has been revoked.' },
  INVALID_LINK: { status: 400, message: 'The link is not valid or has expired.' },
  ACCOUNT_INACTIVE: { status: 401, message: 'The account is no longer active.' },
  TOKENS_INVALIDATED: { status: 401, message: 'The session has ended. Log in again.' },
  CROSS_ORIGIN_REQUEST: { status: 403, message: 'Requests from this origin are not accepted.' },
  FORBIDDEN: { status: 403, message: 'You may not do this.' },
  PASSKEY_REFUSED: { status: 400, message: 'The passkey could not be added. Try again.' },
  PASSKEY_LIMIT: { status: 409, message: 'You have as many passkeys as an account can have.' },
  PASSKEY_NOT_FOUND: { status: 404, message: 'You have no such passkey.' },
  LAST_LOGIN_METHOD: { status: 409, message: 'It is the only way to log in to your account.' },
  PROVIDER_NOT_FOUND: { status: 404, message: 'There is no such provider.' },
  LOGIN_EXPIRED: { status: 401, message: 'The login has expired. Begin again.' },
  PROVIDER_REFUSED: { status: 401, message: 'You were not logged in there.' },
  PROVIDER_FAILED: { status: 502, message: 'The provider did not answer as it should. Try again later.' },
  ACCOUNT_EXISTS: { status: 409, message: 'You have an account already. Log in as before, then link it.' },
  NO_ACCOUNT: { status: 403, message: 'There is no account for this login.' },
  EMAIL_NOT_VERIFIED: { status: 403, message: 'The provider has not verified your e-mail address.' },
  IDENTITY_IN_USE: { status: 409, message: 'It is linked already.' },
  IDENTITY_NOT_FOUND: { status: 404, message: 'You have no such login.' },
  SESSION_NOT_FOUND: { status: 404, message: 'You have no such session.' },
  API_KEY_NOT_FOUND: { status: 404, message: 'You have no such API key.' },
  TOO_MANY_API_KEYS: { status: 409, message: 'You have too many API keys. Revoke one first.' },
  USER_NOT_FOUND: { status: 404, message: 'There is no such user.' },
  SESSION_DATA_TOO_LARGE: { status: 422, message: 'That is more than your session can hold.' },
  INVALID_INPUT: { status: 422, message: 'The request is not valid.' },
  WEAK_PASSWORD: { status: 422, message: 'The password is too easy to guess.' },
  UNSUPPORTED: { status: 500, message: 'Internal server error.' },
  RATE_LIMITED: { status: 429, message: 'Too many requests. Try again later.' },
  INVALID_CONFIG: { status: 500, message: 'Internal server error.' },
  SETUP_INCOMPLETE: { status: 503, message: 'Setup not complete: no account exists yet.' },
  HASHER_OVERLOADED: { status: 503, message: 'Too many logins at once. Try again in a moment.' },
  SCHEMA_MISSING: { status: 503, message: 'Service temporarily unavailable.' },
  STORE_UNAVAILABLE: { status: 503, message: 'Service temporarily unavailable.' },
};

/** @internal The status and the text that the client gets for this code. */
export function answerOf(code: AuthErrorCode): Readonly<{ status: number; message: string }> {
  return ANSWERS[code];
}

/** The codes whose facts the client gets: what is wrong with its input, and what it would have to prove. */
const SHOWN: ReadonlySet<AuthErrorCode> = new Set(['INVALID_INPUT', 'WEAK_PASSWORD', 'STEP_UP_REQUIRED']);

/** What the client sees of an error: its code, and what the code says about the request and what is lacking. */
export interface AuthErrorBody {
  readonly statusCode: number;
  readonly code: AuthErrorCode;
  readonly message: string;
  readonly fields?: AuthErrorFacts['INVALID_INPUT']['fields'];
  readonly required?: AuthErrorFacts['STEP_UP_REQUIRED']['required'];
  readonly methods?: AuthErrorFacts['STEP_UP_REQUIRED']['methods'];
  readonly rules?: AuthErrorFacts['WEAK_PASSWORD']['rules'];
}

/**
 * Every error this module throws. `code` says what happened, `facts` gives the details, and `message` tells the
 * operator what to do about it; the client gets `getResponse()`. None of them contains a token, a hash or a password.
 *
 * It is an `HttpException`, so that a filter or interceptor which only knows Nest's exceptions gives it the right
 * status.
 *
 * @example
 * ```ts
 * try {
 *   await accounts.create(email, password);
 * } catch (error) {
 *   if (isAuthError(error, 'INVALID_INPUT')) return { mistakes: error.facts.fields };
 *   throw error;
 * }
 * ```
 */
export class AuthError<Code extends AuthErrorCode = AuthErrorCode> extends HttpException {
  constructor(
    readonly code: Code,
    message: string,
    readonly facts: AuthErrorFacts[Code],
    options?: ErrorOptions,
  ) {
    const { status, message: shown } = ANSWERS[code];
    const details = SHOWN.has(code) ? facts : {};
    super({ statusCode: status, code, message: shown, ...details } satisfies AuthErrorBody, status);
    this.name = 'AuthError';
    // Not enumerable, as in every `Error`: serializing it shows neither the operator's message nor what the database
    // said.
    const hidden = { enumerable: false, configurable: true, writable: true };
    Object.defineProperties(this, {
      message: { value: message, ...hidden },
      cause: { value: options?.cause, ...hidden },
    });
    // The stack begins with the message, which was not set when `super` captured it.
    Error.captureStackTrace(this, new.target);
  }

  /** The body for the client: status, code and a message without details, plus the facts of the codes that are about the request. */
  override getResponse(): AuthErrorBody {
    return super.getResponse() as AuthErrorBody;
  }
}

/**
 * Whether this is an `AuthError` with this code; narrows the type of its facts. Any value may be given, and it never
 * throws.
 *
 * @example
 * ```ts
 * if (isAuthError(error, 'RATE_LIMITED')) console.log(`Try again in ${error.facts.retryAfter} s.`);
 * ```
 */
export function isAuthError<Code extends AuthErrorCode>(error: unknown, code: Code): error is AuthError<Code> {
  return error instanceof AuthError && error.code === code;
}

/** Wraps a fault of a port that is not an `AuthError`: it is an outage, not an answer. */
export function asAuthError(error: unknown, part: string): AuthError {
  if (error instanceof AuthError) return error;
  return new AuthError('STORE_UNAVAILABLE', `${part} failed; see the cause.`, { part }, { cause: error });
}
