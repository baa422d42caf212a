import type { KeyObject } from 'node:crypto';
import { isSignedBy } from './jws-signature.js';

/** What a logout token has to be. */
export interface ExpectedLogout {
  readonly issuer: string;
  readonly clientId: string;
  readonly algorithms: readonly string[];
  /** Epoch ms. */
  readonly now: number;
}

/** Whose session at the provider has ended. */
export interface Logout {
  /** The user; `null` if only the session is named. */
  readonly subject: string | null;
  /** The session of the provider (`sid`); `null` for all of the user. */
  readonly session: string | null;
  readonly jti: string;
  /** Epoch ms: from then on the token is refused as too old. */
  readonly staleAt: number;
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
/** How far the provider's clock may be from ours. */
const TOLERANCE = 10;
/** How old a token may be, in seconds. It is not kept for later, as it is sent by the provider itself. */
const MAX_AGE = 600;
/** As in the header of a JWT; older providers leave it out, or say that it is a JWT. */
const TYPE = /^(?:application\/)?(?:logout\+jwt|jwt)$/i;

/** The key by which a token says that it was signed. */
export interface SigningKey {
  readonly kid: string | undefined;
  readonly alg: string;
}

/** The key by which it says that it was signed; `null` for what is no JWT. */
export function keyIdOf(token: string): SigningKey | null {
  const { header } = partsOf(token) ?? {};
  if (!header || typeof header['alg'] !== 'string') return null;
  const { kid, alg } = header;
  return { kid: typeof kid === 'string' ? kid : undefined, alg };
}

/**
 * What a logout token says that was signed by this key; `null` if anything about it is not as it has to be (OpenID Connect
 * Back-Channel Logout 1.0, section 2.6): its signature, issuer, audience, age, event, or a nonce, which would make it an ID
 * token. It names a user, a session of the provider, or both.
 */
export function readLogoutToken(token: string, key: KeyObject, expected: ExpectedLogout): Logout | null {
  const { header, claims, signed, signature } = partsOf(token) ?? {};
  if (
    !header ||
    !claims ||
    (header['typ'] !== undefined && !(typeof header['typ'] === 'string' && TYPE.test(header['typ'])))
  )
    return null;
  const { alg } = header;
  const isKnown = typeof alg === 'string' && expected.algorithms.includes(alg) && header['crit'] === undefined;
  if (!isKnown || !isSignedBy(key, alg, signed!, signature!)) return null;
  const { iss, aud, sub = null, sid = null, jti, iat, exp, nbf, events, nonce } = claims;
  const now = Math.floor(expected.now / 1000);
  const isOurs = iss === expected.issuer && [aud].flat().includes(expected.clientId);
  const isTimely =
    typeof iat === 'number' &&
    iat <= now + TOLERANCE &&
    now - iat < MAX_AGE &&
    (exp === undefined || (typeof exp === 'number' && now < exp + TOLERANCE)) &&
    (nbf === undefined || (typeof nbf === 'number' && nbf <= now + TOLERANCE));
  const isLogout = isObject(events) && isObject(events[EVENT]) && nonce === undefined;
  if (!isOurs || !isTimely || !isLogout || !isName(jti)) return null;
  const isNamed = (sub === null || isName(sub)) && (sid === null || isName(sid)) && (sub ?? sid) !== null;
  if (!isNamed) return null;
  return { subject: sub, session: sid, jti, staleAt: (iat + MAX_AGE + TOLERANCE) * 1000 };
}

/** Of a JWS in its compact form (RFC 7515, section 7.1), not verified. */
function partsOf(token: string) {
  const [header, claims, signature, ...more] = token.split('.');
  if (!header || !claims || signature === undefined || more.length > 0) return null;
  const [readHeader, readClaims] = [objectOf(header), objectOf(claims)];
  if (!readHeader || !readClaims) return null;
  return {
    header: readHeader,
    claims: readClaims,
    signed: `${header}.${claims}`,
    signature: Buffer.from(signature, 'base64url'),
  };
}

function objectOf(part: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

const isName = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= 255;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
