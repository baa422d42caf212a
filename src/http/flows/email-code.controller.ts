import { Body, Header, HttpCode, NotFoundException, Post, Req, Res, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { AuthConfig } from '../../config/auth-config.js';
import type { Session } from '../../session/session.js';
import { EmailCodeService } from '../../two-factor/email-code.service.js';
import type { AuthUser } from '../../user/user.directory.js';
import { newTokenAnswer, type ChangedAnswer, type DoneAnswer } from '../answers.js';
import type { AuthRequest } from '../auth-request.js';
import { CurrentSession, CurrentUser } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody, TakesNoBody } from '../body-parse-errors.js';
import { ClientIp } from '../client-ip.js';
import { codeField } from '../fields.js';
import { HttpSessions } from '../http-sessions.js';
import { OriginGuard } from '../origin.guard.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';

const NO_STORE = ['Cache-Control', 'no-store'] as const;

export const EmailCodeBody = z.strictObject({ code: codeField });

/** `flows.twoFactor.emailCode`. */
@UseGuards(OriginGuard, SessionGuard)
export class EmailCodeController {
  constructor(
    private readonly emailCodes: EmailCodeService,
    private readonly http: HttpSessions,
    private readonly clientIp: ClientIp,
    private readonly config: AuthConfig,
  ) {}

  /** Mails a code to the address of the account. */
  @TakesNoBody()
  @RateLimit({ event: 'mail_ip' })
  @Post('2fa/email/enable')
  @HttpCode(202)
  @Header(...NO_STORE)
  async startEmailCodes(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
  ): Promise<DoneAnswer> {
    this.requireOffered();
    await this.emailCodes.start({ user, session, ip: this.clientIp.of(request) });
    return { message: 'A code is on its way.' };
  }

  /** Turns codes by mail on as the second step, and ends the user's other sessions. */
  @TakesBody()
  @Post('2fa/email/enable/confirm')
  @HttpCode(200)
  @Header(...NO_STORE)
  async enableEmailCodes(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<ChangedAnswer> {
    this.requireOffered();
    const { code } = parseBody(EmailCodeBody, body, 'a mailed code');
    const going = await this.http.update(request, response, (context) =>
      this.emailCodes.enable({ user, session, ...context }, code),
    );
    return { message: 'Codes by mail are on.', ...newTokenAnswer(going) };
  }

  /** Turns them off, and ends the user's other sessions. */
  @TakesNoBody()
  @Post('2fa/email/disable')
  @HttpCode(200)
  @Header(...NO_STORE)
  async disableEmailCodes(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
  ): Promise<ChangedAnswer> {
    this.requireOffered();
    const going = await this.http.update(request, response, (context) =>
      this.emailCodes.disable({ user, session, ...context }),
    );
    return { message: 'Codes by mail are off.', ...newTokenAnswer(going) };
  }

  /** The flow may be named beside a factory that then leaves this out. */
  private requireOffered(): void {
    if (this.config.flows.twoFactor?.emailCode === undefined) throw new NotFoundException();
  }
}
