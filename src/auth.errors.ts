import { HttpException } from '@nestjs/common';

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
  INVALID_TOKEN: { reason: TokenErrorReason };
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
export type TokenErrorReason = 'signature' | 'expired' | 'purpose' | 'audience' | 'missing_claim' | 'malformed';

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
  INVALID_TOKEN: { status: 401, message: 'The token is not valid or has expired.' },
  TOKEN_REVOKED: { status: 401, message: 'The token has been revoked.' },
  ACCOUNT_INACTIVE: { status: 401, message: 'The account is no longer active.' },
  TOKENS_INVALIDATED: { status: 401, message: 'The session has ended. Log in again.' },
  CROSS_ORIGIN_REQUEST: { status: 403, message: 'Requests from this origin are not accepted.' },
  SESSION_NOT_FOUND: { status: 404, message: 'You have no such session.' },
  USER_NOT_FOUND: { status: 404, message: 'There is no such user.' },
  INVALID_INPUT: { status: 422, message: 'The request is not valid.' },
  UNSUPPORTED: { status: 500, message: 'Internal server error.' },
  RATE_LIMITED: { status: 429, message: 'Too many requests. Try again later.' },
  INVALID_CONFIG: { status: 500, message: 'Internal server error.' },
  SETUP_INCOMPLETE: { status: 503, message: 'Setup not complete: no account exists yet.' },
  HASHER_OVERLOADED: { status: 503, message: 'Too many logins at once. Try again in a moment.' },
  SCHEMA_MISSING: { status: 503, message: 'Service temporarily unavailable.' },
  STORE_UNAVAILABLE: { status: 503, message: 'Service temporarily unavailable.' },
};

/** What a client gets to see of an error; `fields` for wrong input. */
export interface AuthErrorBody {
  readonly statusCode: number;
  readonly code: AuthErrorCode;
  readonly message: string;
  readonly fields?: AuthErrorFacts['INVALID_INPUT']['fields'];
}

/**
 * Every error this module throws. `code` says what happened, `facts` with which values, `message` what to do about it:
 * that is for the operator, and the client gets `getResponse()`.
 *
 * It is an `HttpException`, so that a filter or interceptor of the host's that knows no more than Nest's exceptions
 * gives it the right status.
 */
export class AuthError<Code extends AuthErrorCode = AuthErrorCode> extends HttpException {
  constructor(
    readonly code: Code,
    message: string,
    readonly facts: AuthErrorFacts[Code],
    options?: ErrorOptions,
  ) {
    const { status, message: shown } = ANSWERS[code];
    const fields = code === 'INVALID_INPUT' ? facts : {};
    super({ statusCode: status, code, message: shown, ...fields } satisfies AuthErrorBody, status);
    this.name = 'AuthError';
    // As in every `Error`: whoever serializes this one gets neither the operator's message nor what the database said.
    const hidden = { enumerable: false, configurable: true, writable: true };
    Object.defineProperties(this, {
      message: { value: message, ...hidden },
      cause: { value: options?.cause, ...hidden },
    });
    // Its first line is the message, which was not known when the stack was captured.
    Error.captureStackTrace(this, new.target);
  }

  override getResponse(): AuthErrorBody {
    return super.getResponse() as AuthErrorBody;
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
