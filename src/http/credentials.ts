import { headerOf, presentedToken, type AuthRequest, type RequestAuth } from './auth-request.js';
import type { SessionCookie } from './session-cookie.js';

export interface Credentials {
  readonly token: string;
  readonly transport: RequestAuth['transport'];
  /** A bearer token sent along with the cookie. It counts if the cookie does not name a live session. */
  readonly bearer: string | null;
}

/** `Authorization: Bearer <token>`; the scheme in any case (RFC 9110 11.1), the token as RFC 6750 spells it. */
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * The credentials of the request: the cookie first, then the bearer token. `null` if there is neither, for a header
 * that is not a bearer token, and for two cookies with our name.
 */
export function credentialsOf(request: AuthRequest, cookie: SessionCookie): Credentials | null {
  const values = cookie.values(headerOf(request, 'cookie'));
  if (values.length > 1) return null;
  const bearer = bearerOf(request);
  if (values[0]) return { token: values[0], transport: 'cookie', bearer };
  return bearer === null ? null : { token: bearer, transport: 'bearer', bearer: null };
}

export function bearerOf(request: AuthRequest): string | null {
  const token = presentedToken(request);
  const header = headerOf(request, 'authorization') ?? (token === undefined ? undefined : `Bearer ${token}`);
  return (header !== undefined && BEARER.exec(header)?.[1]) || null;
}
