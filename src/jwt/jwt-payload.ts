import { isBeforeCutoff } from '../user/account.js';
import { microseconds, type Instant } from '../common/instant.js';
import { TokenError } from './jwt-error.js';

/** Claims of the token's own, beside the registered ones. They are signed, not encrypted: the holder can read them. */
type AnyClaims = Record<string, unknown>;

/**
 * What a token can be for, and the claims it then carries. A token of one purpose is signed with another key than one
 * of the next, so it is refused everywhere else. Add your own by module augmentation:
 *
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

/** What a valid token says. Instants are epoch **milliseconds** like `Clock.now()`, not the seconds of the wire. */
export interface TokenPayload<Purpose extends TokenPurpose = TokenPurpose> {
  readonly sub: string;
  /** Names this one token: what is revoked at logout. */
  readonly jti: string;
  /** With microseconds. It is not compared with the clock: another host's may be a little ahead. */
  readonly iat: Instant;
  /** The token expires at this instant; a whole second. */
  readonly exp: Instant;
  readonly purpose: Purpose;
  /** All partial: the signature says that one of our secrets signed them, not that they are complete. */
  readonly claims: Readonly<Partial<TokenPurposes[Purpose]>>;
}

const REQUIRED = ['sub', 'exp', 'iat', 'jti', 'purpose'] as const;
/** What `encode` writes itself, or what no reader would act on. */
const RESERVED: readonly string[] = [...REQUIRED, 'aud', 'nbf'];
/** The longest `jti` that fits the column of revoked ones. */
const MAX_JTI_LENGTH = 64;
/** The last instant of a `Date`, in seconds. */
const LATEST_SECOND = 8_640_000_000_000;

/** The JSON that is signed: claims and their order as in the source system, seconds with microseconds in `iat`. */
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
 * Reads the claims of a token whose signature holds. Throws a `TokenError` unless all that is required is there, of the
 * right type, for this purpose and audience, and not over at `now`.
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
 * Whether "sign out everywhere" at `cutoff` (epoch milliseconds; `null`: never happened) ended this token. One that was
 * issued in the very same microsecond is ended; the next one is not, so a login right after a password change lasts.
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

/** Nothing whose own idea of JSON could take the place of the payload, and nothing that spreads into letters or indices. */
function isPlainObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || typeof (value as AnyClaims).toJSON === 'function') return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A NumericDate (RFC 7519 section 2) that a `Date` can hold. */
function isSecond(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= LATEST_SECOND;
}
