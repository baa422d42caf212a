import type { KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';

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
  readonly subject: string;
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

/** The name of the key by which it says that it was signed; `null` for what is no JWT. */
export function keyIdOf(token: string): SigningKey | null {
  try {
    const header = jwt.decode(token, { complete: true })?.header;
    return header ? { kid: typeof header.kid === 'string' ? header.kid : undefined, alg: header.alg } : null;
  } catch {
    return null; // a payload that is no JSON
  }
}

/**
 * What a logout token says that was signed by this key; `null` if anything about it is not as it has to be (OpenID Connect
 * Back-Channel Logout 1.0, section 2.6): its signature, issuer, audience, age, event, or a nonce, which would make it an ID
 * token. A token that names only a session (`sid`) and no user is refused too.
 */
export function readLogoutToken(token: string, key: KeyObject, expected: ExpectedLogout): Logout | null {
  const { header, claims } = verified(token, key, expected) ?? {};
  if (!header || !claims || (header.typ !== undefined && !TYPE.test(String(header.typ)))) return null;
  const { sub, jti, iat, events, nonce } = claims;
  const now = Math.floor(expected.now / 1000);
  const isTimely = typeof iat === 'number' && iat <= now + TOLERANCE && now - iat < MAX_AGE;
  const isLogout = isObject(events) && isObject(events[EVENT]) && nonce === undefined;
  if (!isTimely || !isLogout || !isName(sub) || !isName(jti)) return null;
  return { subject: sub, jti, staleAt: (iat + MAX_AGE + TOLERANCE) * 1000 };
}

function verified(token: string, key: KeyObject, { issuer, clientId, algorithms, now }: ExpectedLogout) {
  try {
    const { header, payload } = jwt.verify(token, key, {
      complete: true,
      algorithms: algorithms as jwt.Algorithm[],
      issuer,
      audience: clientId,
      clockTimestamp: Math.floor(now / 1000),
      clockTolerance: TOLERANCE,
    });
    return typeof payload === 'string' ? null : { header, claims: payload as Record<string, unknown> };
  } catch {
    return null;
  }
}

const isName = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= 255;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
