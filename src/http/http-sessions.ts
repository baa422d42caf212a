import { Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { FirstFactor } from '../config/ephemeral-token-settings.js';
import { AuthEvents } from '../events/auth-events.js';
import { AccessRevocation } from '../login/access-revocation.js';
import { BearerSessions } from '../login/bearer-sessions.js';
import { LoginService, type CompletedLogin, type LoginAttempt, type LoginContext } from '../login/login.service.js';
import type { PendingLogin } from '../login/pending-logins.js';
import { SessionScheme, type CookieValue } from '../login/session-scheme.js';
import type { Session } from '../session/session.js';
import { SessionService, type RotationOptions } from '../session/session.service.js';
import type { AuthUser } from '../user/user.directory.js';
import {
  askedFor,
  authOf,
  forgetAuth,
  headerOf,
  shareLookup,
  type HttpRequest,
  type RequestAuth,
} from './auth-request.js';
import { ClientIp } from './client-ip.js';
import { CookieWriter } from './cookie-writer.js';
import { bearerOf } from './credentials.js';
import { DeviceCookie } from './device-cookie.js';
import { HttpSecondFactors } from './http-second-factors.js';
import { LegacyCredentials } from './legacy-credentials.js';
import { isRefusal, RequestAuthenticator } from './request-authenticator.js';
import { SessionCookie } from './session-cookie.js';
import { withoutChallenge, type DueSecondFactor, type StartedSession } from './started-session.js';
import { TrustedBrowserCookie } from './trusted-browser-cookie.js';

/** What has taken the place of the current session. */
export interface Replacement {
  readonly user: AuthUser;
  /** Epoch ms; `null` if the current session was ended meanwhile, so that there is no other. */
  readonly expiresAt: number | null;
  /** The new bearer token, where the request has sent one. */
  readonly token?: string;
}

/** A login attempt; the login name may be left out, as with a passkey. */
export type HttpLoginAttempt = Omit<LoginAttempt, 'login'> & Partial<Pick<LoginAttempt, 'login'>>;

/**
 * A login that the caller has verified itself, such as the second of two steps: it has limited the guesses. What the
 * first proof found is kept between the steps where the client cannot change it, as in a `pre_auth` token: if the
 * account gets a new password, is disabled or signed out everywhere in the meantime, the login is refused.
 */
export interface VerifiedLogin extends FirstFactor {
  /** The account as it is now. */
  readonly user: AuthUser;
  /** The name that was typed, in the spelling of `normalizeLogin`; default: the account's address. */
  readonly login?: string;
  readonly proofs: readonly string[];
}

/** What the client wants of the session. */
export interface StartOptions {
  /**
   * "Remember me": the lifetimes of `session.remembered` and a cookie that outlives the browser. No effect without that
   * option. Default false.
   */
  readonly remember?: boolean | undefined;
}

/**
 * Sessions for your own handlers, on Express and Fastify: log in, rotate, log out, identify the caller. Each method
 * does what the module's own routes do, so that limits, fixation, extra cookies and events cannot be forgotten.
 *
 * While the storage does not answer, every method throws `STORE_UNAVAILABLE`, and neither logs in nor out.
 *
 * @example
 * ```ts
 * @Public()
 * @Post('passkey')
 * async logIn(@Req() request: Request, @Res({ passthrough: true }) response: Response) {
 *   const login = await this.sessions.start(request, response, {
 *     proofs: ['passkey'],
 *     verify: () => this.passkeys.verify(request.body), // the account, or null
 *   });
 *   return login.status === 'authenticated' ? { id: login.user.id } : { due: login.methods, token: login.token };
 * }
 * ```
 */
@Injectable()
export class HttpSessions {
  constructor(
    private readonly logins: LoginService,
    private readonly authenticator: RequestAuthenticator,
    private readonly sessions: SessionService,
    private readonly scheme: SessionScheme,
    private readonly bearer: BearerSessions,
    private readonly access: AccessRevocation,
    private readonly cookie: SessionCookie,
    private readonly deviceCookie: DeviceCookie,
    private readonly trustedCookie: TrustedBrowserCookie,
    private readonly secondFactors: HttpSecondFactors,
    private readonly writer: CookieWriter,
    private readonly legacy: LegacyCredentials,
    private readonly clientIp: ClientIp,
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  /**
   * Judges the login behind the usual limits, opens the session and sets its cookie; the sessions of all cookies that
   * were sent along end. A `VerifiedLogin` is not judged again. `remember` is for a box "keep me logged in". Concurrent
   * logins each get a session, up to `session.maxPerUser`.
   *
   * @throws {AuthError} `RATE_LIMITED` if the address or the name has had too many failures.
   * @throws {AuthError} `INVALID_CREDENTIALS` if `verify` returned `null`, or the account is disabled, deleted or
   *   changed since its first proof.
   * @throws {TypeError} if the instants of a `VerifiedLogin` are missing or not finite numbers, or a name in `proofs` is
   *   not valid: see `LoginService.begin`.
   * @throws {AuthError} `INVALID_CONFIG` if the id of the user is not a string, or `flows.twoFactor.required` returned
   *   something else than a boolean.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   * @throws whatever `verify` throws.
   * @throws {Error} Node's `ERR_HTTP_HEADERS_SENT` if the response headers have been sent; the session has changed all
   *   the same.
   */
  async start(
    request: HttpRequest,
    response: object,
    login: HttpLoginAttempt | VerifiedLogin,
    { remember }: StartOptions = {},
  ): Promise<StartedSession | DueSecondFactor> {
    return this.open(request, response, (context) => this.logIn(login, { ...context, remember }));
  }

  /**
   * As `start`, for a flow that opens the session itself, such as the end of a registration: `work` is told where the
   * request comes from and what it has sent, and hands it on to `LoginService`.
   *
   * @throws whatever `work` throws.
   * @throws {Error} Node's `ERR_HTTP_HEADERS_SENT` if the response headers have been sent; the session has changed all
   *   the same.
   */
  async open(
    request: HttpRequest,
    response: object,
    work: (context: LoginContext) => Promise<CompletedLogin | PendingLogin>,
  ): Promise<StartedSession | DueSecondFactor> {
    const presented = this.cookie.values(headerOf(request, 'cookie'));
    const devices = this.deviceCookie.values(headerOf(request, 'cookie'));
    const trustedBrowsers = this.trustedCookie.values(headerOf(request, 'cookie'));
    const outcome = await work({ ...this.clientIp.clientOf(request), presented, devices, trustedBrowsers });
    if (outcome.status !== 'authenticated') return this.secondFactors.hold(request, response, outcome);
    const { user, credential, device } = outcome;
    this.secondFactors.trust(request, response, outcome.trustedBrowser);
    // Otherwise the legacy session would be taken over again after a logout, possibly for another user.
    await this.legacy.end(request).catch(ignore); // the login stands
    this.writer.set(response, credential, device, this.legacy.clearing(request));
    forgetAuth(request);
    return { status: 'authenticated', user, expiresAt: credential.expiresAt };
  }

  /**
   * As `start`, for clients without cookies: returns the bearer token and sets no cookie. The session of the bearer
   * token that was sent along ends.
   *
   * @throws {AuthError} `RATE_LIMITED` if the address or the name has had too many failures.
   * @throws {AuthError} `INVALID_CREDENTIALS` if `verify` returned `null`, or the account is disabled, deleted or
   *   changed since its first proof.
   * @throws {TypeError} if the instants of a `VerifiedLogin` are missing or not finite numbers, or a name in `proofs` is
   *   not valid: see `LoginService.begin`.
   * @throws {AuthError} `INVALID_CONFIG` if the id of the user is not a string, or `flows.twoFactor.required` returned
   *   something else than a boolean.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   * @throws whatever `verify` throws.
   */
  async issueToken(
    request: HttpRequest,
    login: HttpLoginAttempt | VerifiedLogin,
    { remember }: StartOptions = {},
  ): Promise<(StartedSession & { token: string }) | DueSecondFactor> {
    return this.openToken(request, (context) => this.logIn(login, { ...context, remember }));
  }

  /**
   * As `open`, for clients without cookies.
   *
   * @throws whatever `work` throws.
   */
  async openToken(
    request: HttpRequest,
    work: (context: LoginContext) => Promise<CompletedLogin | PendingLogin>,
  ): Promise<(StartedSession & { token: string }) | DueSecondFactor> {
    const bearer = bearerOf(request);
    const presented = bearer === null ? [] : [bearer];
    const outcome = await work({ ...this.clientIp.clientOf(request), transport: 'bearer', presented });
    if (outcome.status !== 'authenticated') return withoutChallenge(outcome);
    const { user, credential } = outcome;
    await this.legacy.end(request).catch(ignore); // the login stands
    return { status: 'authenticated', user, token: credential.value, expiresAt: credential.expiresAt };
  }

  /**
   * Exchanges the bearer token of the old system that was sent along for one of ours, once (`legacySessions` with
   * `passportJwt`; RFC 8693 calls it token exchange). `null` if it is not valid, or spent. For one `@Public()` handler of
   * yours, which clients call with the old token they still have.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; the old token stays good for the next try.
   *
   * @example
   * ```ts
   * @Public()
   * @Post('exchange')
   * async exchange(@Req() request: Request) {
   *   const session = await this.sessions.exchangeToken(request);
   *   if (!session) throw new UnauthorizedException();
   *   return { token: session.token };
   * }
   * ```
   */
  async exchangeToken(request: HttpRequest): Promise<(StartedSession & { token: string }) | null> {
    const login = await this.legacy.openByBearer(request);
    const { user, credential } = login ?? {};
    return user && credential
      ? { status: 'authenticated', user, token: credential.value, expiresAt: credential.expiresAt }
      : null;
  }

  /**
   * Replaces the token in the cookie: call it at every change of privilege (OWASP ASVS 7.2.4). The session keeps its
   * lifetime, handle and proof. Returns false and sets nothing if the cookie does not name a live session.
   *
   * If the session gains a privilege (sudo mode, a role), pass `{ grace: false }`: a copy of the old cookie is then
   * refused at once and does not lead into the new session.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   * @throws {Error} Node's `ERR_HTTP_HEADERS_SENT` if the response headers have been sent; the session has changed all
   *   the same.
   */
  async rotate(request: HttpRequest, response: object, { grace = true }: RotationOptions = {}): Promise<boolean> {
    const presented = this.cookie.read(headerOf(request, 'cookie'));
    const rotated =
      presented === null ? null : await this.logins.rotate(presented, { ...this.clientIp.clientOf(request), grace });
    if (rotated) this.writer.set(response, rotated);
    return rotated !== null;
  }

  /**
   * Hands out what `work` has opened in place of the current session, as a change of password does: in the cookie, or as
   * a token where the request has sent one. For handlers behind the guard.
   *
   * @throws {AuthError} `UNAUTHENTICATED` if the request has no session.
   * @throws whatever `work` throws.
   * @throws {Error} Node's `ERR_HTTP_HEADERS_SENT` if the response headers have been sent; the session has changed all
   *   the same.
   */
  async replace(
    request: HttpRequest,
    response: object,
    work: (
      context: Pick<LoginContext, 'ip' | 'userAgent' | 'transport'>,
    ) => Promise<{ readonly user: AuthUser; readonly credential: CookieValue | null }>,
  ): Promise<Replacement> {
    const auth = authOf(request);
    if (!auth) throw new AuthError('UNAUTHENTICATED', 'There is no session to replace: call it behind the guard.', {});
    const { transport } = auth;
    const { user, credential } = await work({ ...this.clientIp.clientOf(request), transport });
    forgetAuth(request);
    if (transport === 'cookie') {
      if (credential) this.writer.set(response, credential);
      else this.writer.clear(response);
    }
    const token = transport === 'bearer' ? credential?.value : undefined;
    return { user, expiresAt: credential?.expiresAt ?? null, ...(token === undefined ? {} : { token }) };
  }

  /**
   * As `replace`, for a change after which the session usually keeps its token: `work` returns the new one, or `null`. A
   * new one goes into the cookie, or is returned where the request has sent a bearer token. For handlers behind the guard.
   *
   * @throws {AuthError} `UNAUTHENTICATED` if the request has no session.
   * @throws whatever `work` throws.
   * @throws {Error} Node's `ERR_HTTP_HEADERS_SENT` if the response headers have been sent; the session has changed all
   *   the same.
   */
  async update(
    request: HttpRequest,
    response: object,
    work: (context: Pick<LoginContext, 'ip' | 'userAgent' | 'transport'>) => Promise<CookieValue | null>,
  ): Promise<{ readonly token?: string }> {
    const auth = authOf(request);
    if (!auth) throw new AuthError('UNAUTHENTICATED', 'There is no session: call it behind the guard.', {});
    const { transport } = auth;
    const credential = await work({ ...this.clientIp.clientOf(request), transport });
    if (!credential) return {};
    forgetAuth(request);
    if (transport === 'bearer') return { token: credential.value };
    this.writer.set(response, credential);
    return {};
  }

  /**
   * Ends the session of every credential that was sent, cookie and bearer token alike, and clears the cookie.
   * Idempotent: also without credentials, or with expired ones.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; the cookie stays for the next try.
   * @throws {Error} Node's `ERR_HTTP_HEADERS_SENT` if the response headers have been sent; the session has changed all
   *   the same.
   */
  async end(request: HttpRequest, response: object): Promise<void> {
    const bearer = bearerOf(request);
    const byCookie = await this.scheme.revoke(this.cookie.values(headerOf(request, 'cookie')));
    // Before the bearer token, so that these events are emitted even if ending that one fails.
    for (const session of byCookie) this.emitLogout(request, session);
    if (bearer !== null) for (const session of await this.bearer.revoke(bearer)) this.emitLogout(request, session);
    await this.legacy.end(request);
    this.clear(request, response);
  }

  /**
   * Ends everything the user has: stored sessions, this one included, signed cookies, JWTs, API keys, trusted browsers,
   * and logins in which a factor is still due. Returns the number of stored sessions ended.
   *
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string, or empty.
   * @throws {AuthError} `UNSUPPORTED` with signed cookies or JWT sessions, if your `UserDirectory` does not override
   *   `invalidateTokens`. The stored sessions have ended then.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; the cookie stays for the next try.
   * @throws {Error} Node's `ERR_HTTP_HEADERS_SENT` if the response headers have been sent; the session has changed all
   *   the same.
   */
  async endAll(request: HttpRequest, response: object, userId: string): Promise<number> {
    // First, since our own directory deletes the sessions with the cutoff, and does not say how many.
    const ended = await this.sessions.revokeAllForUser(userId);
    await this.access.endOf(userId, { isTold: ended > 0 });
    this.emitLogout(request, { userId, handle: null });
    await this.legacy.end(request);
    this.clear(request, response);
    return ended;
  }

  /**
   * The request's user and live session, or `null`. For `@Public()` handlers; behind the guard use `@CurrentUser()`. A
   * session that is due is extended, and its cookie renewed on the response, unless `extend` is false or the headers
   * have been sent.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async current(
    request: HttpRequest,
    response: object,
    { extend = true }: { extend?: boolean } = {},
  ): Promise<RequestAuth | null> {
    const known = authOf(request);
    if (known) return known;
    const asked = askedFor(request);
    if (asked) return asked.catch(anonymousIfRefused);
    const credentials = this.authenticator.credentialsOf(request, response);
    const cached = credentials && this.authenticator.authenticateCached(credentials);
    if (cached) return cached;
    const lookup = this.authenticator.identify(request, credentials, response, { extend });
    shareLookup(request, lookup);
    return lookup.catch(anonymousIfRefused);
  }

  private logIn(
    login: HttpLoginAttempt | VerifiedLogin,
    context: LoginContext,
  ): Promise<CompletedLogin | PendingLogin> {
    if ('verify' in login) return this.logins.attempt({ ...login, login: login.login ?? null }, context);
    const { user, login: name, proofs, authenticatedAt, tokensInvalidatedAfter } = login;
    if (
      !Number.isFinite(authenticatedAt) ||
      !(tokensInvalidatedAfter === null || Number.isFinite(tokensInvalidatedAfter))
    ) {
      throw new TypeError(
        'A login of several steps needs authenticatedAt (epoch ms) and tokensInvalidatedAfter (epoch ms or null), both ' +
          'as they were at its first proof.',
      );
    }
    return this.logins.begin(user, proofs, { ...context, login: name, authenticatedAt, tokensInvalidatedAfter });
  }

  private clear(request: HttpRequest, response: object): void {
    forgetAuth(request);
    this.writer.clear(response, this.legacy.clearing(request));
    if (this.config.routes?.clearSiteData) {
      this.adapterHost.httpAdapter.setHeader(response, 'Clear-Site-Data', '"cache", "cookies", "storage"');
    }
  }

  private emitLogout(request: HttpRequest, { userId, handle }: { userId: string; handle: Session['handle'] | null }) {
    this.events.emit({ type: 'logout', at: this.clock.now(), userId, handle, ip: this.clientIp.of(request) });
  }
}

const ignore = () => undefined;

function anonymousIfRefused(error: unknown): null {
  if (isRefusal(error)) return null;
  throw error;
}
