import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AuthError } from '../auth.errors.js';
import {
  attachAuth,
  authOf,
  isHandshake,
  requestOf,
  responseOf,
  type AuthRequest,
  type RequestAuth,
} from './auth-request.js';
import { accessOf, type Access } from './auth.decorators.js';
import type { Credentials } from './credentials.js';
import { RequestAuthenticator } from './request-authenticator.js';

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
    const isHeld = isHandshake(context);
    // A second guard on the same request asks nothing again; a socket's handshake outlives many messages.
    const before = isHeld ? null : authOf(request);
    if (before) return admits(access, before);
    const credentials = this.authenticator.credentialsOf(request);
    const recalled = credentials && this.authenticator.recall(credentials);
    if (!recalled) return this.authenticate(request, credentials, response, { access, isHeld });
    attachAuth(request, recalled);
    return admits(access, recalled);
  }

  private async authenticate(
    request: AuthRequest,
    credentials: Credentials | null,
    response: object | null,
    { access, isHeld }: { access: Access; isHeld: boolean },
  ): Promise<boolean> {
    // An invalid JWT throws with its reason where a session is needed; elsewhere it is anonymous, like any other value.
    const tellsWhy = access === 'required';
    const auth = credentials && (await this.authenticator.recognize(credentials, response, { tellsWhy, isHeld }));
    // Once, when it is known: on a socket, messages that were let through before may still be at work.
    if (auth || !tellsWhy) attachAuth(request, auth);
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
