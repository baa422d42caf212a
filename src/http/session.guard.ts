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
import { accessOf, isUse, needsSession, type Access } from './auth.decorators.js';
import { isRefusal, RequestAuthenticator } from './request-authenticator.js';
import type { Requirement } from './require-role.decorator.js';

/**
 * Lets requests with a live session through and throws `UNAUTHENTICATED` (401) for all others, unless the handler is
 * `@Public()`, `@OptionalAuth()` or `@RedirectIfAuthenticated()`. During an outage it throws `STORE_UNAVAILABLE` (503):
 * nobody is admitted, and nobody loses the cookie. It runs for every handler unless `globalGuard` is false.
 *
 * A request whose session needs no extension writes nothing. An extended cookie is set before the handler runs, so that
 * streamed responses carry it too.
 *
 * @example
 * ```ts
 * @UseGuards(OriginGuard, SessionGuard) // only with globalGuard: false
 * @Controller('admin')
 * export class AdminController {}
 * ```
 */
@Injectable()
export class SessionGuard implements CanActivate {
  constructor(
    private readonly authenticator: RequestAuthenticator,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  /**
   * Identifies the caller and checks the handler's access rule. The codes for JWTs are thrown only if the handler needs
   * a session; elsewhere the caller is anonymous.
   *
   * @throws {AuthError} `UNAUTHENTICATED` if the request has no live session and the handler needs one.
   * @throws {AuthError} `INVALID_TOKEN` if a bearer JWT is not valid (a `TokenError`).
   * @throws {AuthError} `TOKEN_REVOKED` if a bearer JWT was ended, by a logout for example.
   * @throws {AuthError} `ACCOUNT_INACTIVE` if the account of a bearer JWT is disabled or deleted.
   * @throws {AuthError} `TOKENS_INVALIDATED` if the user of a bearer JWT has signed out everywhere or changed the
   *   password since.
   * @throws {AuthError} `ALREADY_AUTHENTICATED` if the handler is `@RedirectIfAuthenticated()` and there is a live
   *   session.
   * @throws {AuthError} `FORBIDDEN` if the user lacks a role that the handler requires.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const access = accessOf(context);
    if (access === 'public') return true;

    const response = responseOf(context);
    if (response) this.adapterHost.httpAdapter.setHeader(response, 'Cache-Control', 'no-store');

    const request = requestOf(context);
    if (!request) return admits(access, null);
    const fromHandshake = isHandshake(context);
    // A second guard on the same request reuses the answer; not on a socket, whose handshake outlives many messages.
    const before = fromHandshake ? null : authOf(request);
    if (before) return admits(access, before);
    const asked = lookupOf(context, request);
    if (asked) return this.settle(asked, request, access);
    // The usual case with the cache on: the session is in memory, and nothing is awaited.
    const credentials = this.authenticator.credentialsOf(request, response);
    const cached = credentials && this.authenticator.authenticateCached(credentials);
    if (cached) {
      attachAuth(request, cached);
      return admits(access, cached);
    }
    const lookup = this.authenticator.identify(request, credentials, response, {
      fromHandshake,
      extend: isUse(context, request),
    });
    rememberLookup(context, request, lookup);
    return this.settle(lookup, request, access);
  }

  private async settle(lookup: Promise<RequestAuth | null>, request: AuthRequest, access: Access): Promise<boolean> {
    let auth: RequestAuth | null = null;
    try {
      auth = await lookup;
    } catch (error) {
      // A rejected JWT gets its specific error where a session is required; elsewhere the caller is anonymous.
      if (needsSession(access) || !isRefusal(error)) throw error;
    }
    // Set only now: on a socket, messages admitted earlier may still be in progress.
    if (auth || !needsSession(access)) attachAuth(request, auth);
    return admits(access, auth);
  }
}

/** Checks the caller against the handler's access rule; throws if it is not allowed. */
function admits(access: Access, auth: RequestAuth | null): true {
  if (typeof access === 'object' && 'redirectTo' in access) {
    if (!auth) return true;
    throw new AuthError('ALREADY_AUTHENTICATED', 'This page is for guests only.', access);
  }
  if (access === 'optional') return true;
  if (auth) {
    if (typeof access === 'object') requireAll(access, auth);
    return true;
  }
  throw new AuthError('UNAUTHENTICATED', 'Log in, or send the session cookie or bearer token of a live session.', {});
}

function requireAll(requirements: readonly Requirement[], auth: RequestAuth): void {
  for (const requirement of requirements) {
    const refusal = requirement(auth);
    if (refusal) throw refusal;
  }
}
