import { Injectable } from '@nestjs/common';
import jwt from 'jsonwebtoken';
import { isUtf8 } from 'node:buffer';
import type { KeyObject } from 'node:crypto';
import type { TokenErrorReason } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { later, type Instant } from '../common/instant.js';
import { days, type Duration } from '../common/duration.js';
import { AuthConfig } from '../config/auth-config.js';
import { canonicalBytes } from '../crypto/base64url.js';
import { KeyRing } from '../crypto/key-ring.js';
import { randomId } from '../crypto/random.js';
import { TokenError } from './jwt-error.js';
import {
  payloadFromJson,
  payloadToJson,
  type TokenPayload,
  type TokenPurpose,
  type TokenPurposes,
} from './jwt-payload.js';

/**
 * `ttl` defaults to `jwt.ttl`. `claims` may be left out if the purpose requires none. `issuedAfter` (epoch ms) is the
 * account's `tokensInvalidatedAfter` as it was read with the proof: `iat` will be later, however far ahead the clock
 * that set it was.
 */
export type EncodeOptions<Purpose extends TokenPurpose> = {
  purpose: Purpose;
  ttl?: Duration;
  issuedAfter?: Instant | null;
} & ClaimsOf<Purpose>;
type ClaimsOf<Purpose extends TokenPurpose> =
  Partial<TokenPurposes[Purpose]> extends TokenPurposes[Purpose]
    ? { claims?: TokenPurposes[Purpose] }
    : { claims: TokenPurposes[Purpose] };

/** A token and its content, as `decode` would return it. */
export interface EncodedToken<Purpose extends TokenPurpose = TokenPurpose> {
  readonly token: string;
  readonly payload: TokenPayload<Purpose>;
}

/** A request line and its headers may be 16 KiB together (Node's default); a longer token is refused unread. */
const MAX_TOKEN_LENGTH = 16_384;
const MAX_LIFETIME = days(400);
/** The messages of jsonwebtoken for a well-formed token that is not signed the way we sign. */
const UNSIGNED = ['invalid signature', 'invalid algorithm', 'jwt signature is required'];

/**
 * JWTs, each for one purpose and signed with that purpose's own key; byte-compatible with PyJWT in both directions. One
 * algorithm, set in the configuration, HMAC only (RFC 7515, RFC 8725). The first secret signs, all verify.
 *
 * It keeps no state: a valid token may have been revoked since. `TokenRevocationService.userOf` says so.
 *
 * @example
 * ```ts
 * const { token } = codec.encode(user.id, { purpose: 'email_change', claims: { new_email: email }, ttl: minutes(30) });
 *
 * const payload = codec.decode(token, { purpose: 'email_change' }); // throws unless it is valid now
 * const owner = await revocation.userOf(payload); // throws if it was revoked
 * ```
 */
@Injectable()
export class JwtCodecService {
  private readonly signing: jwt.SignOptions;
  private readonly verifying: jwt.VerifyOptions & { complete: true };

  constructor(
    private readonly keyRing: KeyRing,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {
    const { algorithm } = config.jwt;
    this.signing = { algorithm, header: { alg: algorithm, typ: 'JWT' } };
    // The times are checked on our clock, in `payloadFromJson`.
    this.verifying = { algorithms: [algorithm], ignoreExpiration: true, ignoreNotBefore: true, complete: true };
  }

  /**
   * Signs a token for `subject`. `ttl` is in milliseconds, at most 400 days, by default `jwt.ttl`. The expiry is cut to
   * the whole second, so the token lives up to a second less than `ttl`; with a `ttl` of 0 it has expired at once.
   *
   * @throws {TypeError} if `subject` is not a string, `ttl` is not a number, `claims` is not a plain object or sets a
   *   registered claim (`sub`, `jti`, `iat`, `exp`, `purpose`, `aud`, `nbf`), or `purpose` is empty or a long
   *   hexadecimal number.
   * @throws {RangeError} if `ttl` is negative or longer than 400 days, or the token would be longer than 16 KiB.
   */
  encode(
    subject: string,
    options?: Omit<EncodeOptions<'session'>, 'purpose'> & { purpose?: 'session' },
  ): EncodedToken<'session'>;
  /**
   * As above, for another purpose than `session`, with the claims that it requires.
   *
   * @throws {TypeError} as above.
   * @throws {RangeError} as above.
   */
  encode<Purpose extends TokenPurpose>(subject: string, options: EncodeOptions<Purpose>): EncodedToken<Purpose>;
  encode(subject: string, options: Partial<EncodeOptions<TokenPurpose>> = {}): EncodedToken {
    const { purpose = 'session', ttl = this.config.jwt.ttl, claims = {}, issuedAfter } = options;
    if (typeof subject !== 'string') throw new TypeError('The subject of a token must be a string.');
    if (typeof ttl !== 'number') throw new TypeError('The ttl of a token must be a number: write it as minutes(5).');
    if (!(ttl >= 0 && ttl <= MAX_LIFETIME)) throw new RangeError('The ttl of a token must be 0 to 400 days.');

    const now = this.clock.now();
    const iat = later(now, issuedAfter);
    const exp = Math.trunc((now + ttl) / 1000) * 1000;
    const payload: TokenPayload = { sub: subject, jti: randomId(), iat, exp, purpose, claims };
    const token = this.sign(payloadToJson(payload, this.config.jwt.audience), this.keyRing.forPurpose(purpose)[0]);
    if (token.length > MAX_TOKEN_LENGTH) throw new RangeError(`The token would have ${token.length} characters.`);
    return { token, payload };
  }

  /**
   * The content of the token, if it is valid now and for this purpose (default `session`). The signature is checked
   * before any claim is read. Synchronous, without a query.
   *
   * @throws {TokenError} `INVALID_TOKEN` for everything else, whatever is passed as `token`; `reason` says why.
   * @throws {TypeError} if `purpose` is empty or a long hexadecimal number.
   */
  decode<Purpose extends TokenPurpose = 'session'>(
    token: string,
    options: { purpose?: Purpose } = {},
  ): TokenPayload<Purpose> {
    const { purpose = 'session' as Purpose } = options;
    const { header, payload } = this.verify(token, this.keyRing.forPurpose(purpose));
    if (!hasOneSpelling(token))
      throw new TokenError('malformed', 'The token is not canonical base64url of UTF-8 text.');
    if (!isPlainHeader(header))
      throw new TokenError('malformed', 'The header of the token has members that are not allowed.');
    return payloadFromJson(payload, { purpose, audience: this.config.jwt.audience, now: this.clock.now() });
  }

  /** Passes the claims as text, so that jsonwebtoken neither checks them again nor replaces an `iat` of 0. */
  private sign(json: string, key: KeyObject): string {
    return jwt.sign(json, key, this.signing);
  }

  private verify(token: string, keys: readonly KeyObject[]): jwt.Jwt {
    if (typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH) {
      throw new TokenError('malformed', 'The token is not a string, or is too long.');
    }
    let fault: TokenErrorReason = 'malformed';
    for (const key of keys) {
      try {
        return jwt.verify(token, key, this.verifying);
      } catch (error) {
        fault = UNSIGNED.includes((error as Error).message) ? 'signature' : 'malformed';
      }
    }
    throw new TokenError(
      fault,
      `The token ${fault === 'signature' ? 'was not signed here for this purpose' : 'is not a JWT'}.`,
    );
  }
}

/**
 * Whether the header says how the token is signed and nothing else. `kid`, `jwk`, `jku`, `x5u` and their like choose a
 * key, `crit` changes the rules; we never write any of them.
 */
function isPlainHeader(header: jwt.JwtHeader): boolean {
  const members = Object.keys(header).every((name) => name === 'alg' || name === 'typ');
  return members && (header.typ === undefined || header.typ === 'JWT');
}

/**
 * Whether header and payload are canonically spelled, well-formed text, which nothing below checks: a decoder turns
 * every byte that is not UTF-8 into U+FFFD, so that two subjects would become one. The signature is compared as text.
 */
function hasOneSpelling(token: string): boolean {
  return token
    .split('.', 2)
    .map(canonicalBytes)
    .every((bytes) => bytes !== null && isUtf8(bytes));
}
