import { Body, Header, HttpCode, Param, Post, Req, Res, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { OidcLogoutService } from '../../oidc/oidc-logout.service.js';
import type { DoneAnswer } from '../answers.js';
import { authOf, type AuthRequest } from '../auth-request.js';
import { CrossOrigin, OptionalAuth, Public } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { ClientIp } from '../client-ip.js';
import { HttpSessions } from '../http-sessions.js';
import { OidcRedirects } from '../oidc-redirects.js';
import { OriginGuard } from '../origin.guard.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';
import { OidcReturnBody } from './oidc.controller.js';

const TOKEN = 'must be the logout token of the provider';

/** Providers may add members (OpenID Connect Back-Channel Logout 1.0, section 2.5): they are left out. */
export const OidcLogoutBody = z.object({
  logout_token: z
    .string(TOKEN)
    .max(16_384, TOKEN)
    .describe('The JWT by which the provider says whose session has ended.'),
});

const NO_STORE = ['Cache-Control', 'no-store'] as const;

/** Logouts of `flows.oidc`. */
@UseGuards(OriginGuard, SessionGuard)
export class OidcLogoutController {
  constructor(
    private readonly logouts: OidcLogoutService,
    private readonly http: HttpSessions,
    private readonly clientIp: ClientIp,
    private readonly redirects: OidcRedirects,
  ) {}

  /** The provider calls it, without a browser; the token says who it is. */
  @Public()
  @CrossOrigin()
  @TakesBody()
  @Post('oidc/:provider/backchannel-logout')
  @HttpCode(200)
  @Header(...NO_STORE)
  async backChannelLogout(
    @Req() request: AuthRequest,
    @Param('provider') provider: string,
    @Body() body: unknown,
  ): Promise<DoneAnswer> {
    const { logout_token: token } = parseBody(OidcLogoutBody, body, 'a logout of a provider');
    await this.logouts.end(provider, token, { ip: this.clientIp.of(request) });
    return { message: 'The sessions have ended.' };
  }

  /** Ends the session here, and sends the browser to the provider's page for it: 303 for a form, otherwise the address. */
  @OptionalAuth()
  @TakesBody()
  @RateLimit({ event: 'oidc_logout_ip' })
  @Post('oidc/:provider/logout')
  @HttpCode(200)
  @Header(...NO_STORE)
  async logOutAtProvider(
    @Req() request: AuthRequest,
    @Res() response: object,
    @Param('provider') provider: string,
    @Body() body: unknown,
  ): Promise<void> {
    const { returnTo } = parseBody(OidcReturnBody, body, 'a logout at a provider');
    const userId = authOf(request)?.user.id ?? null;
    const url = await this.logouts.urlAt(provider, returnTo, { userId });
    await this.http.end(request, response);
    this.redirects.show(request, response, url);
  }
}
