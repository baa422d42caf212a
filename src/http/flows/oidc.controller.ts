import { Body, Delete, Get, Header, HttpCode, Param, Post, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { AuthConfig } from '../../config/auth-config.js';
import { IdentityService } from '../../oidc/identity.service.js';
import type { OidcAnswer } from '../../oidc/oidc-requests.js';
import { OidcService, type OidcOwner } from '../../oidc/oidc.service.js';
import type { Session } from '../../session/session.js';
import type { AuthUser } from '../../user/user.directory.js';
import {
  dueAnswer,
  iso,
  loginAnswer,
  newTokenAnswer,
  shown,
  type ChangedAnswer,
  type PendingAnswer,
} from '../answers.js';
import { authOf, headerOf, type AuthRequest } from '../auth-request.js';
import { CrossOrigin, CurrentSession, CurrentUser, OptionalAuth, Public } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody, TakesNoBody } from '../body-parse-errors.js';
import { ClientIp } from '../client-ip.js';
import { CookieWriter } from '../cookie-writer.js';
import { FlowCookie } from '../flow-cookie.js';
import { HttpSessions } from '../http-sessions.js';
import { identityAnswer, type ExchangeAnswer, type IdentityAnswer, type ProviderListAnswer } from '../oidc-answers.js';
import { OidcBegunGuard } from '../oidc-begun.guard.js';
import { OidcCallbackFilter } from '../oidc-callback.filter.js';
import { OidcEnds, withFragment } from '../oidc-ends.js';
import { OidcUnfinished } from '../oidc-unfinished.js';
import { OriginGuard } from '../origin.guard.js';
import { OIDC_FLOW as FLOW, OidcRedirects } from '../oidc-redirects.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';

const RETURN = 'must be a path of this application such as /notes';
const EXCHANGE = 'must be browser, or base64url of a SHA-256';
const TOKEN = 'must be the token of the fragment';
const VERIFIER = 'must be the verifier of the challenge';

const returnToField = z
  .string(RETURN)
  .max(2_048, RETURN)
  .optional()
  .describe('The path where the browser goes in the end. With `exchange` also an address at a trusted origin.');

export const OidcStartBody = z.strictObject({
  returnTo: returnToField,
  remember: z
    .union([z.boolean(), z.literal('on').transform(() => true)], 'must be true or false')
    .optional()
    .describe('Whether the session outlives the browser, if there is something to choose. Default false.'),
  exchange: z
    .string(EXCHANGE)
    .max(64, EXCHANGE)
    .optional()
    .describe('For a page that opens the session itself: `browser`, or the S256 challenge of a verifier it keeps.'),
});

export const OidcReturnBody = z.strictObject({ returnTo: returnToField });

export const OidcExchangeBody = z.strictObject({
  token: z.string(TOKEN).max(256, TOKEN).describe('The token from the fragment.'),
  verifier: z
    .string(VERIFIER)
    .min(43, VERIFIER)
    .max(128, VERIFIER)
    .optional()
    .describe('The verifier, if the login was begun with its challenge.'),
  transport: z
    .enum(['cookie', 'bearer'], 'must be cookie or bearer')
    .optional()
    .describe('How the client keeps the session. Default cookie.'),
});

const NO_STORE = ['Cache-Control', 'no-store'] as const;
const NO_REFERRER = ['Referrer-Policy', 'no-referrer'] as const;
/** What is passed on of an answer by `form_post`. */
const PASSED = ['state', 'code', 'iss', 'error'] as const;

/** `flows.oidc`. */
@UseGuards(OriginGuard, SessionGuard)
export class OidcController {
  constructor(
    private readonly oidc: OidcService,
    private readonly identities: IdentityService,
    private readonly http: HttpSessions,
    private readonly clientIp: ClientIp,
    private readonly cookie: FlowCookie,
    private readonly writer: CookieWriter,
    private readonly redirects: OidcRedirects,
    private readonly ends: OidcEnds,
    private readonly unfinished: OidcUnfinished,
    private readonly config: AuthConfig,
  ) {}

  @Public()
  @Get('oidc')
  @Header(...NO_STORE)
  listProviders(): ProviderListAnswer {
    return this.config.flows.oidc!.providers.map(({ id, label = id }) => ({ id, label }));
  }

  /** Sends the browser to a provider: 303 for a form, otherwise the address for a script. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'oidc_start_ip' })
  @Post('oidc/:provider/start')
  @HttpCode(200)
  @Header(...NO_STORE)
  async startOidc(
    @Req() request: AuthRequest,
    @Res() response: object,
    @Param('provider') provider: string,
    @Body() body: unknown,
  ): Promise<void> {
    const start = parseBody(OidcStartBody, body, 'a login at a provider');
    this.redirects.leave(
      request,
      response,
      await this.oidc.begin(provider, { ...start, redirectUri: this.redirects.callback(OidcController, provider) }),
    );
  }

  /** As `startOidc`, to link an identity with the account of the session. */
  @TakesBody()
  @RateLimit({ event: 'oidc_start_ip' })
  @Post('oidc/:provider/link')
  @HttpCode(200)
  @Header(...NO_STORE)
  async linkOidc(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Param('provider') provider: string,
    @Body() body: unknown,
  ): Promise<void> {
    this.redirects.requireCookie(request);
    const { returnTo } = parseBody(OidcReturnBody, body, 'a link with a provider');
    const start = { returnTo, redirectUri: this.redirects.callback(OidcController, provider) };
    this.redirects.leave(request, response, await this.oidc.beginLink(provider, { user, session }, start));
  }

  /** Where a provider sends the browser back to. It ends on a page, whatever has come of it. */
  @OptionalAuth()
  @UseFilters(OidcCallbackFilter)
  @RateLimit({ event: 'oidc_callback_ip' })
  // Decorators apply from the bottom up: before it is counted.
  @UseGuards(OidcBegunGuard)
  @Get('oidc/:provider/callback')
  @Header(...NO_STORE)
  @Header(...NO_REFERRER)
  async oidcCallback(
    @Req() request: AuthRequest,
    @Res() response: object,
    @Param('provider') provider: string,
  ): Promise<void> {
    const parameters = new URLSearchParams((request.url ?? '').split('?').slice(1).join('?'));
    const browsers = this.cookie.values(FLOW, headerOf(request, 'cookie'));
    const answer = await this.oidc.finish(provider, parameters, { browsers, ip: this.clientIp.of(request) });
    const end = this.endOf(answer);
    const next = await this.complete(request, response, answer, end).catch((error: unknown) =>
      this.unfinished.follow(error, request, response, { answer, end }),
    );
    this.redirects.redirect(response, next);
  }

  /**
   * An answer by `form_post` comes from another site, and so without the cookies that it needs: the browser is sent to
   * the same address by GET, to which it adds them (RFC 6265bis, section 5.2).
   */
  @Public()
  @CrossOrigin()
  @TakesBody()
  @Post('oidc/:provider/callback')
  @HttpCode(303)
  @Header(...NO_STORE)
  @Header(...NO_REFERRER)
  oidcFormCallback(@Res() response: object, @Param('provider') provider: string, @Body() body: unknown): void {
    const given = Object(body) as Record<string, unknown>;
    const parameters = PASSED.flatMap((name) => (typeof given[name] === 'string' ? [[name, given[name]]] : []));
    const url = new URL(this.redirects.callback(OidcController, provider));
    url.search = new URLSearchParams(parameters as [string, string][]).toString();
    this.redirects.redirect(response, url.href);
  }

  /** Opens the session of a login that was handed to a page, and sets the cookie or returns a token. */
  @Public()
  @TakesBody()
  @Post('oidc/exchange')
  @HttpCode(200)
  @Header(...NO_STORE)
  async exchangeOidc(
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<ExchangeAnswer | PendingAnswer> {
    const { token, verifier, transport } = parseBody(OidcExchangeBody, body, 'an exchange');
    const proof = { verifier, browsers: this.cookie.values(FLOW, headerOf(request, 'cookie')) };
    if (transport === 'bearer') {
      const login = await this.http.openToken(request, (context) => this.oidc.exchange(token, proof, context));
      if (login.status !== 'authenticated') return dueAnswer(login);
      const { status, user, expiresAt } = login;
      return { status, token: login.token, tokenType: 'Bearer', user: shown(user), expiresAt: iso(expiresAt) };
    }
    const login = await this.http.open(request, response, (context) => this.oidc.exchange(token, proof, context));
    this.writer.add(response, this.cookie.clear(FLOW));
    return loginAnswer(login);
  }

  @Get('identities')
  @Header(...NO_STORE)
  async listIdentities(@CurrentUser('id') userId: string): Promise<IdentityAnswer[]> {
    return (await this.identities.list(userId)).map(identityAnswer);
  }

  /** Unlinks it, and ends the other sessions of the user. */
  @TakesNoBody()
  @Delete('identities/:id')
  @HttpCode(200)
  @Header(...NO_STORE)
  async unlinkIdentity(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Param('id') id: string,
  ): Promise<ChangedAnswer> {
    const going = await this.http.update(request, response, (context) =>
      this.identities.unlink({ user, session, ...context }, id),
    );
    return { message: 'The identity has been unlinked.', ...newTokenAnswer(going) };
  }

  /** Does what the answer was asked for, and says where the browser goes. */
  private async complete(request: AuthRequest, response: object, answer: OidcAnswer, end: string): Promise<string> {
    const { intent, exchange } = answer.request;
    const ip = this.clientIp.of(request);
    if (exchange !== undefined) return withFragment(end, { exchange: await this.oidc.handOver(answer, { ip }) });
    if (intent === 'login') {
      const login = await this.http.open(request, response, (context) => this.oidc.logIn(answer, context));
      this.writer.add(response, this.cookie.clear(FLOW));
      return login.status === 'authenticated' ? end : this.ends.pending(request, response, login, end);
    }
    const auth = authOf(request);
    const owner: OidcOwner | null = auth && { user: auth.user, session: auth.session, ip };
    if (intent === 'link') await this.oidc.link(answer, owner);
    else {
      // Before `replace` asks for the session, which is refused like any other one.
      if (!owner) await this.oidc.stepUp(answer, null);
      await this.http.replace(request, response, (context) => this.oidc.stepUp(answer, owner, context));
    }
    this.writer.add(response, this.cookie.clear(FLOW));
    return end;
  }

  private endOf({ request: { returnTo = '/', exchange } }: OidcAnswer): string {
    return this.oidc.isReturn(returnTo, exchange !== undefined) ? returnTo : '/';
  }
}
