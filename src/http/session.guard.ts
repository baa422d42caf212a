import { Injectable, Optional, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { joinedLack, type LackingAssurance } from '../login/assurance.js';
import { StepUpService } from '../step-up/step-up.service.js';
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
import { ApiKeyAuthenticator } from './api-key-authenticator.js';
import { apiKeyScopeOf } from './api-key.decorators.js';
import { accessOf, isUse, needsSession, type Access } from './auth.decorators.js';
import type { Session } from '../session/session.js';
import { isRefusal, RequestAuthenticator } from './request-authenticator.js';
import type { Caller, Requirement } from './requirement.js';

type SignedIn = Pick<RequestAuth, 'session' | 'user'>;

/**
 * Admits requests with a live session, or with an API key whose scope the handler allows, and refuses all others with
 * the codes of `canActivate`, unless the handler is `@Public()`, `@OptionalAuth()` or `@RedirectIfAuthenticated()`.
 * During an outage it throws `STORE_UNAVAILABLE` (503): nobody is admitted, and nobody loses the cookie. It runs for
 * every handler unless `globalGuard` is false.
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
  private readonly methods = new WeakMap<Session, Map<string, Promise<readonly string[]>>>();

  constructor(
    private readonly authenticator: RequestAuthenticator,
    private readonly adapterHost: HttpAdapterHost,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
    @Optional() private readonly stepUps?: StepUpService,
    @Optional() private readonly apiKeys?: ApiKeyAuthenticator,
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
   * @throws {AuthError} `FORBIDDEN` if the user lacks a role that the handler requires, or the API key a scope.
   * @throws {AuthError} `RATE_LIMITED` for an API key that is refused, after too many from this address.
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session lacks a proof that the handler requires.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const access = accessOf(context);
    if (access === 'public') return true;

    const response = responseOf(context);
    if (response) this.adapterHost.httpAdapter.setHeader(response, 'Cache-Control', 'no-store');

    const request = requestOf(context);
    if (!request) return this.admits(access, null);
    const apiKey = this.apiKeys?.presentedBy(request) ?? null;
    if (apiKey !== null) return this.judge(apiKey, context, request, access);
    const fromHandshake = isHandshake(context);
    // A second guard on the same request reuses the answer; not on a socket, whose handshake outlives many messages.
    const before = fromHandshake ? null : authOf(request);
    if (before) return this.admits(access, before);
    const asked = lookupOf(context, request);
    if (asked) return this.settle(asked, request, access);
    // The usual case with the cache on: the session is in memory. Waiting for it would double what the guard costs.
    const credentials = this.authenticator.credentialsOf(request, response);
    const cached = credentials && this.authenticator.authenticateCached(credentials);
    if (cached) {
      attachAuth(request, cached);
      return this.admits(access, cached);
    }
    const lookup = this.authenticator.identify(request, credentials, response, {
      fromHandshake,
      extend: isUse(context, request),
    });
    rememberLookup(context, request, lookup);
    return this.settle(lookup, request, access);
  }

  /** A request with an API key, which is nobody's session, whatever cookie it brings. */
  private async judge(
    apiKey: string,
    context: ExecutionContext,
    request: AuthRequest,
    access: Access,
  ): Promise<boolean> {
    attachAuth(request, null);
    const scope = apiKeyScopeOf(context);
    if (scope === null) {
      if (!needsSession(access)) return this.admits(access, null);
      throw new AuthError('UNAUTHENTICATED', 'This handler takes no API keys: see @AllowApiKey.', {});
    }
    const found = await this.apiKeys!.authenticate(request, apiKey);
    if (!found) return this.admits(access, null);
    await this.apiKeys!.requireScope(request, found, scope);
    return typeof access === 'object' && !('redirectTo' in access)
      ? this.satisfies(access, { user: found.user, session: null })
      : true;
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
    return this.admits(access, auth);
  }

  /** Checks the caller against the handler's access rule; throws, or rejects, if it is not allowed. */
  private admits(access: Access, auth: RequestAuth | null): true | Promise<never> {
    if (typeof access === 'object' && 'redirectTo' in access) {
      if (!auth) return true;
      throw new AuthError('ALREADY_AUTHENTICATED', 'This page is for guests only.', access);
    }
    if (access === 'optional') return true;
    if (auth) return typeof access === 'object' ? this.satisfies(access, auth) : true;
    throw new AuthError('UNAUTHENTICATED', 'Log in, or send the session cookie or bearer token of a live session.', {});
  }

  /** Whoever may not do it at all is not asked to prove anything first. */
  private satisfies(requirements: readonly Requirement[], caller: Caller): true | Promise<never> {
    const at = { now: this.clock.now(), freshness: this.config.flows.freshness };
    let lacking: LackingAssurance | null = null;
    for (const requirement of requirements) {
      const refusal = requirement(caller, at);
      if (refusal instanceof AuthError) throw refusal;
      if (refusal) lacking = joinedLack(lacking, refusal);
    }
    return lacking === null || this.askForMore(lacking, { ...caller, session: caller.session! });
  }

  /** All fields of a GraphQL request share its session, and each may be refused: they ask once. */
  private methodsFor({ session, user }: SignedIn, lacking: LackingAssurance): Promise<readonly string[]> {
    const known = this.methods.get(session) ?? new Map<string, Promise<readonly string[]>>();
    this.methods.set(session, known);
    const key = JSON.stringify(lacking);
    const asked = known.get(key) ?? this.stepUps?.methodsOf(session, { lacking, user }) ?? Promise.resolve([]);
    known.set(key, asked);
    asked.catch(() => known.delete(key));
    return asked;
  }

  private async askForMore(lacking: LackingAssurance, auth: SignedIn): Promise<never> {
    const methods = await this.methodsFor(auth, lacking);
    const { aal, maxAge, amr } = lacking;
    const required = {
      ...(aal !== undefined && { aal }),
      ...(maxAge !== undefined && { maxAge: Math.floor(maxAge / 1000) }),
      ...(amr !== undefined && { amr }),
    };
    const message =
      'The session does not prove enough for this: let its user prove more by POST step-up (flows.stepUp).';
    throw new AuthError('STEP_UP_REQUIRED', message, { required, methods });
  }
}
