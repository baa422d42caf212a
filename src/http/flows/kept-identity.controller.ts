import { Get, Header, HttpCode, Param, Post, Req, Res, UseGuards } from '@nestjs/common';
import { KeptIdentities } from '../../oidc/kept-identities.js';
import type { Session } from '../../session/session.js';
import type { AuthUser } from '../../user/user.directory.js';
import type { DoneAnswer } from '../answers.js';
import { headerOf, type AuthRequest } from '../auth-request.js';
import { CurrentSession, CurrentUser } from '../auth.decorators.js';
import { TakesNoBody } from '../body-parse-errors.js';
import { ClientIp } from '../client-ip.js';
import { CookieWriter } from '../cookie-writer.js';
import { FlowCookie, KEPT_IDENTITY_FLOW as FLOW } from '../flow-cookie.js';
import type { KeptIdentityListAnswer } from '../oidc-answers.js';
import { OriginGuard } from '../origin.guard.js';
import { SessionGuard } from '../session.guard.js';

const NO_STORE = ['Cache-Control', 'no-store'] as const;

/** `flows.oidc`: what follows `ACCOUNT_EXISTS`, once the user is logged in. */
@UseGuards(OriginGuard, SessionGuard)
export class KeptIdentityController {
  constructor(
    private readonly kept: KeptIdentities,
    private readonly clientIp: ClientIp,
    private readonly cookie: FlowCookie,
    private readonly writer: CookieWriter,
  ) {}

  /** The identities that this browser has come back with before the login, and that are not linked yet. */
  @Get('identities/kept')
  @Header(...NO_STORE)
  listKeptIdentities(@CurrentUser('id') userId: string, @Req() request: AuthRequest): Promise<KeptIdentityListAnswer> {
    return this.kept.listFor(userId, this.browsersOf(request));
  }

  /** Links the one of this provider. */
  @TakesNoBody()
  @Post('oidc/:provider/link-kept')
  @HttpCode(200)
  @Header(...NO_STORE)
  async linkKeptIdentity(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Param('provider') provider: string,
  ): Promise<DoneAnswer> {
    const owner = { user, session, ip: this.clientIp.of(request) };
    const { left, expiresAt } = await this.kept.link(provider, owner, this.browsersOf(request));
    this.writer.add(response, this.cookie.with(FLOW, left, expiresAt));
    return { message: 'The identity has been linked.' };
  }

  private browsersOf(request: AuthRequest): string[] {
    return this.cookie.values(FLOW, headerOf(request, 'cookie'));
  }
}
