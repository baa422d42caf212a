import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { HttpAdapterHost, Reflector } from '@nestjs/core';
import { asAuthError, AuthError } from '../auth.errors.js';
import { SessionService } from '../session/session.service.js';
import { attachAuth, authOf, requestOf, responseOf, type AuthRequest, type RequestAuth } from './auth-request.js';
import { AccessMetadata, type Access } from './auth.decorators.js';
import { credentialsOf } from './credentials.js';
import { SessionCookie } from './session-cookie.js';

/**
 * Lets a request through that carries a live session, and throws `UNAUTHENTICATED` (401) for every other, unless the
 * handler is `@Public()`, `@OptionalAuth()` or `@RedirectIfAuthenticated()`. A fault throws `STORE_UNAVAILABLE` (503): nobody passes, and nobody
 * loses the cookie (R20).
 *
 * A request whose session needs no extension writes nothing; an extended cookie is set before the handler runs, so
 * that streamed answers carry it too (R40).
 */
@Injectable()
export class SessionGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly sessions: SessionService,
    private readonly cookie: SessionCookie,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const access: Access =
      this.reflector.getAllAndOverride(AccessMetadata, [context.getHandler(), context.getClass()]) ?? 'required';
    if (access === 'public') return true;

    const request = requestOf(context);
    const response = responseOf(context);
    if (response) this.adapterHost.httpAdapter.setHeader(response, 'Cache-Control', 'no-store');

    const auth = request && (await this.authenticate(request, context, response));
    if (typeof access === 'object') {
      if (!auth) return true;
      throw new AuthError('ALREADY_AUTHENTICATED', 'This page is for guests only.', access);
    }
    if (auth || access === 'optional') return true;
    throw new AuthError('UNAUTHENTICATED', 'Log in, or send the session cookie or bearer token of a live session.', {});
  }

  private async authenticate(
    request: AuthRequest,
    context: ExecutionContext,
    response: object | null,
  ): Promise<RequestAuth | null> {
    // A second guard on the same HTTP request asks nothing again; a socket's handshake outlives many messages.
    if (context.getType() === 'http' && authOf(request)) return authOf(request);
    attachAuth(request, null);

    const credentials = credentialsOf(request, this.cookie);
    if (!credentials) return null;
    try {
      const found = await this.sessions.lookup(credentials.token);
      if (!found) return null;
      const extended = await this.sessions.maybeExtend(found.session);
      const auth = { user: found.user, session: extended ?? found.session, transport: credentials.transport };
      attachAuth(request, auth);
      if (extended && response && credentials.transport === 'cookie') {
        this.adapterHost.httpAdapter.appendHeader?.(
          response,
          'Set-Cookie',
          this.cookie.set(credentials.token, extended),
        );
      }
      return auth;
    } catch (error) {
      throw asAuthError(error, 'The session lookup');
    }
  }
}
