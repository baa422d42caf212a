import { Injectable } from '@nestjs/common';
import type { PendingLogin } from '../login/pending-logins.js';
import {
  SecondFactorLoginService,
  type FactorResponse,
  type HeldLoginContext,
  type OccasionOf,
  type SecondFactorLogin,
} from '../login/second-factor-login.service.js';
import { TrustedBrowsers, type TrustedBrowserValue } from '../login/trusted-browsers.js';
import { forgetAuth, headerOf, type HttpRequest } from './auth-request.js';
import { ClientIp } from './client-ip.js';
import { CookieWriter } from './cookie-writer.js';
import { bearerOf } from './credentials.js';
import { DeviceCookie } from './device-cookie.js';
import { FlowCookie } from './flow-cookie.js';
import { LegacyCredentials } from './legacy-credentials.js';
import { SessionCookie } from './session-cookie.js';
import { withoutChallenge, type DueSecondFactor, type StartedSession } from './started-session.js';
import { TrustedBrowserCookie } from './trusted-browser-cookie.js';

/** The flow of the cookie that ties a held login to its browser. */
const SECOND_FACTOR = '2fa';

/**
 * The second step of the logins that `HttpSessions.start` or `issueToken` has held, for your own handlers on Express and
 * Fastify: what the module's own route does.
 *
 * While the storage does not answer, every method throws `STORE_UNAVAILABLE`, and nothing is counted or opened.
 *
 * @example
 * ```ts
 * @Public()
 * @Post('second-step')
 * async secondStep(@Req() request: Request, @Res({ passthrough: true }) response: Response) {
 *   const { token, code } = request.body; // the token is what the first step answered
 *   const login = await this.secondFactors.complete(request, response, { token, method: 'totp', response: code });
 *   return { id: login.user.id };
 * }
 * ```
 */
@Injectable()
export class HttpSecondFactors {
  constructor(
    private readonly logins: SecondFactorLoginService,
    private readonly trusted: TrustedBrowsers,
    private readonly cookie: SessionCookie,
    private readonly deviceCookie: DeviceCookie,
    private readonly flowCookie: FlowCookie,
    private readonly trustedCookie: TrustedBrowserCookie,
    private readonly writer: CookieWriter,
    private readonly legacy: LegacyCredentials,
    private readonly clientIp: ClientIp,
  ) {}

  /** Ties the held login to this browser: its challenge goes into a cookie of its own, so that its token alone is nothing. */
  hold(request: HttpRequest, response: object, login: PendingLogin): DueSecondFactor {
    const { challenge } = login;
    if (challenge) {
      this.writer.add(response, this.flowCookie.add(SECOND_FACTOR, challenge, headerOf(request, 'cookie')));
    }
    return withoutChallenge(login);
  }

  /** The values of the cookie that ties held logins to this browser. */
  challengesOf(request: HttpRequest): readonly string[] {
    return this.flowCookie.values(SECOND_FACTOR, headerOf(request, 'cookie'));
  }

  /**
   * Opens the session, and hands it out as the first step asked for, in the cookie or as `token`.
   * `SecondFactorLoginService` says what is counted.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a token that cannot be used, a method that the user does not have and
   *   a wrong response alike.
   * @throws {AuthError} `RATE_LIMITED` after too many wrong ones of the account.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or the factor did not answer.
   * @throws {Error} Node's `ERR_HTTP_HEADERS_SENT` if the response headers have been sent; the session has begun all the
   *   same.
   */
  complete(
    request: HttpRequest,
    response: object,
    factor: Omit<FactorResponse, 'challenges'>,
  ): Promise<StartedSession & { token?: string }> {
    return this.completeBy(request, response, (challenges, context) =>
      this.logins.complete({ ...factor, challenges }, context),
    );
  }

  /**
   * As `complete`, for a flow that completes the held login itself: `work` is told which challenges and sessions the
   * request has sent.
   *
   * @throws whatever `work` throws.
   * @throws {Error} Node's `ERR_HTTP_HEADERS_SENT` if the response headers have been sent; the session has begun all the
   *   same.
   */
  async completeBy(
    request: HttpRequest,
    response: object,
    work: (challenges: readonly string[], context: HeldLoginContext) => Promise<SecondFactorLogin>,
  ): Promise<StartedSession & { token?: string }> {
    const cookies = headerOf(request, 'cookie');
    const bearer = bearerOf(request);
    const { user, credential, device, transport, trustedBrowser } = await work(this.challengesOf(request), {
      ...this.clientIp.clientOf(request),
      devices: this.deviceCookie.values(cookies),
      trustedBrowsers: this.trustedCookie.values(cookies),
      presentedBy: (by) => (by === 'cookie' ? this.cookie.values(cookies) : bearer === null ? [] : [bearer]),
    });
    await this.legacy.end(request).catch(() => undefined); // the login stands
    forgetAuth(request);
    const started = { status: 'authenticated', user, expiresAt: credential.expiresAt } as const;
    if (transport === 'bearer') return { ...started, token: credential.value };
    this.writer.set(response, credential, device, this.legacy.clearing(request));
    this.writer.add(response, this.flowCookie.clear(SECOND_FACTOR));
    this.trust(request, response, trustedBrowser);
    return started;
  }

  /**
   * The user of a held login and what its challenge is bound to, for a factor that has to ask something before, as a
   * passkey does.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a token that cannot be used, and a method that the user does not have.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or the factor did not answer.
   */
  occasion(request: HttpRequest, factor: Omit<FactorResponse, 'challenges' | 'response'>): Promise<OccasionOf> {
    return this.logins.occasion({ ...factor, challenges: this.challengesOf(request) });
  }

  /**
   * Asks the factor of a held login for what the user needs, such as a code by mail.
   *
   * @throws {AuthError} `SECOND_FACTOR_REFUSED` for a token that cannot be used, and a method that the user does not have.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or the factor did not answer.
   */
  request(request: HttpRequest, factor: Omit<FactorResponse, 'challenges' | 'response'>): Promise<void> {
    return this.logins.request({ ...factor, challenges: this.challengesOf(request) }, this.clientIp.clientOf(request));
  }

  /** This browser is not asked for a second factor again, if there is a value that says so. */
  trust(request: HttpRequest, response: object, value: TrustedBrowserValue | null | undefined): void {
    if (value) this.writer.add(response, this.trustedCookie.set(value, headerOf(request, 'cookie')));
  }

  /**
   * The browsers in which the user is not asked for a second factor are forgotten, and the cookie of this one is removed.
   * Returns how many there were.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async forgetTrustedBrowsers(response: object, userId: string): Promise<number> {
    const forgotten = await this.trusted.forget(userId);
    this.writer.add(response, this.trustedCookie.clear());
    return forgotten;
  }
}
