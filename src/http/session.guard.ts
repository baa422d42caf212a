import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AuthError } from '../auth.errors.js';
import {
  attachAuth,
  authOf,
  isHandshake,
  lookupOf,
  rememberLookup,
  requestOf,
  responseOf,
  type AuthRequest,
  type RequestAuth,
} from './auth-request.js';
import { accessOf, isUse, type Access } from './auth.decorators.js';
import { isRefusal, RequestAuthenticator } from './request-authenticator.js';

const NOBODY = Promise.resolve(null);

/**
 * Lets requests with a live session through and throws `UNAUTHENTICATED` (401) for all others, unless the handler is
 * `@Public()`, `@OptionalAuth()` or `@RedirectIfAuthenticated()`. A fault throws `STORE_UNAVAILABLE` (503): nobody is
 * admitted, and nobody loses the cookie.
 *
 * A bearer JWT that is not valid is refused with its own code (`INVALID_TOKEN`, `TOKEN_REVOKED`, …).
 *
 * A request whose session needs no extension writes nothing; an extended cookie is set before the handler runs, so that
 * streamed answers carry it too.
 */
@Injectable()
export class SessionGuard implements CanActivate {
  constructor(
    private readonly authenticator: RequestAuthenticator,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const access = accessOf(context);
    if (access === 'public') return true;

    const response = responseOf(context);
    if (response) this.adapterHost.httpAdapter.setHeader(response, 'Cache-Control', 'no-store');

    const request = requestOf(context);
    if (!request) return admits(access, null);
    const fromHandshake = isHandshake(context);
    // A second guard on the same request asks nothing again; a socket's handshake outlives many messages.
    const before = fromHandshake ? null : authOf(request);
    if (before) return admits(access, before);
    const asked = lookupOf(context, request);
    if (asked) return this.settle(asked, request, access);
    // Most requests: memory knows the session, so that nothing is waited for.
    const credentials = this.authenticator.credentialsOf(request, response);
    const cached = credentials && this.authenticator.authenticateCached(credentials);
    if (cached) {
      attachAuth(request, cached);
      return admits(access, cached);
    }
    const lookup = credentials
      ? this.authenticator.authenticate(credentials, response, { fromHandshake, extend: isUse(context, request) })
      : NOBODY;
    rememberLookup(context, request, lookup);
    return this.settle(lookup, request, access);
  }

  private async settle(lookup: Promise<RequestAuth | null>, request: AuthRequest, access: Access): Promise<boolean> {
    let auth: RequestAuth | null = null;
    try {
      auth = await lookup;
    } catch (error) {
      // An invalid JWT is told its reason where a session is needed; elsewhere it is anonymous, like any other value.
      if (access === 'required' || !isRefusal(error)) throw error;
    }
    // Once, when it is known: on a socket, messages that were let through before may still be at work.
    if (auth || access !== 'required') attachAuth(request, auth);
    return admits(access, auth);
  }
}

/** Whether this handler is for whom the request has turned out to be from; throws for whom it is not. */
function admits(access: Access, auth: RequestAuth | null): true {
  if (typeof access === 'object') {
    if (!auth) return true;
    throw new AuthError('ALREADY_AUTHENTICATED', 'This page is for guests only.', access);
  }
  if (auth || access === 'optional') return true;
  throw new AuthError('UNAUTHENTICATED', 'Log in, or send the session cookie or bearer token of a live session.', {});
}
