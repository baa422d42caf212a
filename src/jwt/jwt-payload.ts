import { isBeforeCutoff } from '../user/account.js';
import { microseconds, type Instant } from '../common/instant.js';
import { TokenError } from './jwt-error.js';

/** Claims other than the registered ones. They are signed, not encrypted: the holder can read them. */
type AnyClaims = Record<string, unknown>;

/**
 * The purposes of tokens, and the claims each carries. Every purpose has a signing key of its own, so that a token is
 * refused everywhere but where it belongs. Add your own by module augmentation.
 *
 * @example
 * ```ts
 * declare module 'nestjs-latchkey' {
 *   interface TokenPurposes {
 *     invitation: { team: string };
 *   }
 * }
 * ```
 */
export interface TokenPurposes {
  session: AnyClaims;
  password_reset: AnyClaims;
  email_change: { new_email: string };
  phone_setup: { phone: string };
  login_mfa: AnyClaims;
}

export type TokenPurpose = keyof TokenPurposes;

/**
 * The content of a valid token. Instants are epoch **milliseconds** like `Clock.now()`, not the seconds of the wire.
 */
export interface TokenPayload<Purpose extends TokenPurpose = TokenPurpose> {
  readonly sub: string;
  /** The id of this token, by which it is revoked. */
  readonly jti: string;
  /** With microseconds. Not compared with the clock, since that of another machine may be a little ahead. */
  readonly iat: Instant;
  /** The token expires at this instant; a whole second. */
  readonly exp: Instant;
  readonly purpose: Purpose;
  /** Partial: the signature shows that one of our secrets signed them, not that they are complete. */
  readonly claims: Readonly<Partial<TokenPurposes[Purpose]>>;
}

const REQUIRED = ['sub', 'exp', 'iat', 'jti', 'purpose'] as const;
/** Set by `encode` itself, or ignored by every reader. */
const RESERVED: readonly string[] = [...REQUIRED, 'aud', 'nbf'];
/** The longest `jti` that fits the column of revoked ones. */
const MAX_JTI_LENGTH = 64;
/** The last instant of a `Date`, in seconds. */
const LATEST_SECOND = 8_640_000_000_000;

/** The JSON that is signed: claims and their order as regstack writes them, seconds with microseconds in `iat`. */
export function payloadToJson(payload: TokenPayload, audience: string | null): string {
  const { sub, jti, iat, exp, purpose, claims } = payload;
  if (!isPlainObject(claims)) throw new TypeError('The claims of a token must be a plain object.');
  const reserved = Object.keys(claims).find((name) => RESERVED.includes(name));
  if (reserved !== undefined) throw new TypeError(`The claim ${reserved} cannot be set: encode() sets it.`);
  return JSON.stringify({
    sub,
    jti,
    iat: microseconds(iat) / 1_000_000,
    exp: exp / 1000,
    purpose,
    ...(audience === null ? {} : { aud: audience }),
    ...claims,
  });
}

/**
 * Reads the claims of a token whose signature is valid. Throws a `TokenError` unless every required claim is there, has
 * the right type, is for this purpose and audience, and has not expired at `now`.
 */
export function payloadFromJson<Purpose extends TokenPurpose>(
  json: unknown,
  expected: { purpose: Purpose; audience: string | null; now: Instant },
): TokenPayload<Purpose> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new TokenError('malformed', 'The token holds no claims.');
  }
  const { sub, jti, iat, exp, purpose, aud, ...claims } = json as Record<string, unknown>;
  const found = { sub, jti, iat, exp, purpose };
  const missing = REQUIRED.find((name) => (found[name] ?? null) === null);
  if (missing !== undefined) throw new TokenError('missing_claim', `The token has no claim ${missing}.`);
  if (typeof sub !== 'string' || typeof purpose !== 'string' || !isJti(jti) || !isSecond(iat) || !isSecond(exp)) {
    throw new TokenError('malformed', 'A claim of the token has the wrong type.');
  }
  if (!isMeantFor(aud, expected.audience)) throw new TokenError('audience', 'The token is for another audience.');
  if (purpose !== expected.purpose) throw new TokenError('purpose', 'The token is for another purpose.');

  const expiresAt = Math.trunc(exp) * 1000;
  if (expected.now >= expiresAt) throw new TokenError('expired', 'The token has expired.');
  return {
    sub,
    jti,
    iat: Math.round(iat * 1_000_000) / 1000,
    exp: expiresAt,
    purpose: expected.purpose,
    claims: claims as Partial<TokenPurposes[Purpose]>,
  };
}

/**
 * Whether "sign out everywhere" at `cutoff` (epoch milliseconds; `null`: never) ended this token. One issued in the
 * very same microsecond is ended, the next one is not, so that a login right after a password change stays valid.
 */
export function isPayloadBulkRevoked({ iat }: Pick<TokenPayload, 'iat'>, cutoff: Instant | null): boolean {
  return isBeforeCutoff(iat, cutoff);
}

function isMeantFor(aud: unknown, audience: string | null): boolean {
  if (audience === null) return (aud ?? null) === null;
  return (
    aud === audience || (Array.isArray(aud) && aud.every((one) => typeof one === 'string') && aud.includes(audience))
  );
}

function isJti(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_JTI_LENGTH;
}

/** Rejects objects whose `toJSON` would replace the payload, and values that spread into letters or indices. */
function isPlainObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || typeof (value as AnyClaims).toJSON === 'function') return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A NumericDate (RFC 7519 section 2) that a `Date` can hold. */
function isSecond(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= LATEST_SECOND;
}
