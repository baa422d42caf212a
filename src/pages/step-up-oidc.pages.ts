import { Body, Post, Query, Req, Res } from '@nestjs/common';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentSession, CurrentUser } from '../http/auth.decorators.js';
import { StepUpOidcController } from '../http/flows/step-up-oidc.controller.js';
import { OidcService } from '../oidc/oidc.service.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { asText, formOf } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { Pages } from './pages.decorator.js';
import { ProviderRedirects } from './provider-redirects.js';

/** `flows.stepUp` and `flows.oidc` together. */
@Pages()
export class StepUpOidcPages {
  constructor(
    private readonly oidc: OidcService,
    private readonly redirects: ProviderRedirects,
  ) {}

  @Post('p/step-up-provider')
  @GuardedAs(StepUpOidcController, 'stepUpOidc')
  async stepUpAtProvider(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query('id') id: unknown,
    @Body() body: unknown,
  ): Promise<unknown> {
    const provider = asText(id);
    const start = this.redirects.startOf(provider, formOf(body)['next']);
    return this.redirects.leave(request, response, await this.oidc.beginStepUp(provider, { user, session }, start));
  }
}
