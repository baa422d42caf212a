import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { asAuthError, AuthError, type AuthErrorCode } from '../auth.errors.js';
import { attachAuth, authOf, requestOf, responseOf, type AuthRequest, type RequestAuth } from './auth-request.js';
import { accessOf, type Access } from './auth.decorators.js';
import { BearerSessions } from '../login/bearer-sessions.js';
import { CookieWriter } from './cookie-writer.js';
import { credentialsOf, type Credentials } from './credentials.js';
import { SessionCookie } from './session-cookie.js';
import { SessionScheme } from '../login/session-scheme.js';

/**
 * Lets a request through that carries a live session, and throws `UNAUTHENTICATED` (401) for every other, unless the
 * handler is `@Public()`, `@OptionalAuth()` or `@RedirectIfAuthenticated()`. A fault throws `STORE_UNAVAILABLE` (503):
 * nobody passes, and nobody loses the cookie (R20).
 *
 * A bearer JWT that does not hold is refused with its own code (`INVALID_TOKEN`, `TOKEN_REVOKED`, …).
 *
 * A request whose session needs no extension writes nothing; an extended cookie is set before the handler runs, so
 * that streamed answers carry it too (R40).
 */
@Injectable()
export class SessionGuard implements CanActivate {
  constructor(
    private readonly scheme: SessionScheme,
    private readonly bearer: BearerSessions,
    private readonly cookie: SessionCookie,
    private readonly writer: CookieWriter,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const access = accessOf(context);
    if (access === 'public') return true;

    const response = responseOf(context);
    if (response) this.adapterHost.httpAdapter.setHeader(response, 'Cache-Control', 'no-store');

    const request = requestOf(context);
    if (!request) return admits(access, null);
    // A second guard on the same HTTP request asks nothing again; a socket's handshake outlives many messages.
    const before = context.getType() === 'http' ? authOf(request) : null;
    if (before) return admits(access, before);
    const credentials = credentialsOf(request, this.cookie);
    const recalled = credentials && this.recall(credentials);
    if (!recalled) return this.authenticate(request, credentials, response, access);
    attachAuth(request, recalled);
    return admits(access, recalled);
  }

  private async authenticate(
    request: AuthRequest,
    credentials: Credentials | null,
    response: object | null,
    access: Access,
  ): Promise<boolean> {
    // A JWT that does not hold throws with its reason where a session is needed; else it is nobody's, like any other value.
    const tellsWhy = access === 'required';
    const auth = credentials && (await this.recognizeWithin(credentials, response, tellsWhy));
    // Once, when it is known: on a socket, messages that were let through before may still be at work.
    if (auth || !tellsWhy) attachAuth(request, auth);
    return admits(access, auth);
  }

  private async recognizeWithin(
    credentials: Credentials,
    response: object | null,
    tellsWhy: boolean,
  ): Promise<RequestAuth | null> {
    try {
      return await this.recognize(credentials, response);
    } catch (error) {
      if (!tellsWhy && error instanceof AuthError && REFUSALS.has(error.code)) return null;
      throw asAuthError(error, 'The session lookup');
    }
  }

  /** Most requests: memory knows the session, so that nothing is waited for. */
  private recall({ token, transport }: Credentials): RequestAuth | null {
    try {
      const found = transport === 'cookie' ? this.scheme.recall(token) : this.bearer.recall(token);
      return found && { user: found.user, session: found.session, transport };
    } catch {
      // `recognize` meets the same fault, and says what it is.
      return null;
    }
  }

  private async recognize({ token, transport }: Credentials, response: object | null): Promise<RequestAuth | null> {
    // Without a response it is the handshake of a socket, which keeps its token when the tabs have gone on to another.
    const isHeld = response === null;
    if (transport === 'bearer') {
      const found = await this.bearer.recognize(token, { isHeld });
      return found && { ...found, transport };
    }
    const found = await this.scheme.recognize(token, { isHeld });
    if (!found) return null;
    if (found.reissue && response) this.writer.renew(response, found.reissue);
    return { user: found.user, session: found.session, transport };
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

/** What `BearerSessions.recognize` throws of a token, as opposed to a fault. */
const REFUSALS = new Set<AuthErrorCode>(['INVALID_TOKEN', 'TOKEN_REVOKED', 'ACCOUNT_INACTIVE', 'TOKENS_INVALIDATED']);
