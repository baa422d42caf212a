import type { TokenPayload } from '../jwt/jwt-payload.js';
import type { Session } from '../session/session.js';

/** Our names and those of RFC 8176, section 2; the others are written as they are. */
const REGISTERED = [
  ['password', 'pwd'],
  ['totp', 'otp'],
  ['passkey', 'pop'],
  ['email-code', 'mca'],
] as const;
const TO_CLAIM: ReadonlyMap<string, string> = new Map(REGISTERED);
const FROM_CLAIM: ReadonlyMap<string, string> = new Map(REGISTERED.map(([ours, registered]) => [registered, ours]));

/** More than a login ever has: a token of another program must not make a session of any size. */
const MAX_METHODS = 16;

/** Before a method of the application's own that has a registered name, so that it does not come back as one of ours. */
const OWN = 'own:';

const toClaim = (method: string): string =>
  TO_CLAIM.get(method) ?? (FROM_CLAIM.has(method) || method.startsWith(OWN) ? `${OWN}${method}` : method);

const fromClaim = (claim: string): string =>
  claim.startsWith(OWN) ? claim.slice(OWN.length) : (FROM_CLAIM.get(claim) ?? claim);

type Proof = Pick<Session, 'aal' | 'amr' | 'authenticatedAt'>;

/**
 * The claims of a session JWT about the proofs of its user: `amr` (RFC 8176), our `aal`, and `auth_time` (OpenID Connect
 * Core 1.0, section 2) if the proof is a second or more older than the token.
 */
export function proofClaims({ aal, amr, authenticatedAt }: Proof, now: number): Record<string, unknown> {
  const isOlder = now - authenticatedAt >= 1_000;
  return {
    amr: amr.map(toClaim),
    aal,
    ...(isOlder && { auth_time: authenticatedAt / 1000 }),
  };
}

/**
 * The proofs that a session JWT tells of. One that does not, as another program may issue it, is worth 1 and was proved
 * when it was issued; `auth_time` can only say that it was earlier.
 */
export function proofOf({ iat, claims }: Pick<TokenPayload<'session'>, 'iat' | 'claims'>): Proof {
  const { aal, amr, auth_time: authTime } = claims;
  const methods = Array.isArray(amr) && amr.length <= MAX_METHODS ? (amr as unknown[]) : [];
  return {
    aal: aal === 2 ? 2 : 1,
    amr: methods.filter((method) => typeof method === 'string').map(fromClaim),
    authenticatedAt: typeof authTime === 'number' ? Math.min(iat, authTime * 1000) : iat,
  };
}
