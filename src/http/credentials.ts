import { headerOf, type AuthRequest, type RequestAuth } from './auth-request.js';
import type { SessionCookie } from './session-cookie.js';

export interface Credentials {
  readonly token: string;
  readonly transport: RequestAuth['transport'];
}

/** `Authorization: Bearer <token>`; the scheme in any case (RFC 9110 11.1), the token as RFC 6750 spells it. */
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * What the request presents: the cookie first, even a stale one, else the bearer token. `null` if there is none, for a
 * header that is not a bearer token, and for two cookies of our name.
 */
export function credentialsOf(request: AuthRequest, cookie: SessionCookie): Credentials | null {
  const values = cookie.values(headerOf(request, 'cookie'));
  if (values.length > 1) return null;
  if (values[0]) return { token: values[0], transport: 'cookie' };
  const bearer = bearerOf(request);
  return bearer === null ? null : { token: bearer, transport: 'bearer' };
}

export function bearerOf(request: AuthRequest): string | null {
  const header = headerOf(request, 'authorization');
  return (header !== undefined && BEARER.exec(header)?.[1]) || null;
}
