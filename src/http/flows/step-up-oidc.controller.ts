import { Body, Header, HttpCode, Param, Post, Req, Res, UseGuards } from '@nestjs/common';
import { OidcService } from '../../oidc/oidc.service.js';
import type { Session } from '../../session/session.js';
import type { AuthUser } from '../../user/user.directory.js';
import type { AuthRequest } from '../auth-request.js';
import { CurrentSession, CurrentUser } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { OidcRedirects } from '../oidc-redirects.js';
import { OriginGuard } from '../origin.guard.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';
import { OidcController, OidcReturnBody } from './oidc.controller.js';

/** `flows.stepUp` and `flows.oidc` together. */
@UseGuards(OriginGuard, SessionGuard)
export class StepUpOidcController {
  constructor(
    private readonly oidc: OidcService,
    private readonly redirects: OidcRedirects,
  ) {}

  /** Sends the browser to a provider where its user has to prove again who they are. */
  @TakesBody()
  @RateLimit({ event: 'oidc_start_ip' })
  @Post('step-up/oidc/:provider')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async stepUpOidc(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Param('provider') provider: string,
    @Body() body: unknown,
  ): Promise<void> {
    this.redirects.requireCookie(request);
    const { returnTo } = parseBody(OidcReturnBody, body, 'a step-up at a provider');
    const start = { returnTo, redirectUri: this.redirects.callback(OidcController, provider) };
    this.redirects.leave(request, response, await this.oidc.beginStepUp(provider, { user, session }, start));
  }
}
