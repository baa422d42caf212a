import { Body, Header, HttpCode, Post, Req, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { PasswordResetService } from '../../password/password-reset.service.js';
import type { DoneAnswer } from '../answers.js';
import type { AuthRequest } from '../auth-request.js';
import { Public } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { ClientIp } from '../client-ip.js';
import { loginField, newPasswordField, tokenField } from '../fields.js';
import { OriginGuard } from '../origin.guard.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';

export const ForgottenPasswordBody = z.strictObject({ email: loginField });

export const PasswordResetBody = z.strictObject({ token: tokenField, password: newPasswordField('The new password.') });

/** `flows.passwordReset`. */
@UseGuards(OriginGuard, SessionGuard)
export class PasswordResetController {
  constructor(
    private readonly resets: PasswordResetService,
    private readonly clientIp: ClientIp,
  ) {}

  /** Mails a link after the answer, which is the same whatever the address is. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'password_reset_ip' })
  @RateLimit({ event: 'mail_ip' })
  @Post('forgot-password')
  @HttpCode(202)
  @Header('Cache-Control', 'no-store')
  forgotPassword(@Body() body: unknown): DoneAnswer {
    this.resets.request(parseBody(ForgottenPasswordBody, body, 'a request for a new password').email);
    return { message: 'If there is such an account, a mail is on its way.' };
  }

  /** Sets the password by the token of the mailed link. It opens no session: the user logs in with it. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'password_reset_ip' })
  @Post('reset-password')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async resetPassword(@Req() request: AuthRequest, @Body() body: unknown): Promise<DoneAnswer> {
    const { token, password } = parseBody(PasswordResetBody, body, 'a new password');
    await this.resets.reset(token, password, { ip: this.clientIp.of(request) });
    return { message: 'The password has been changed. Log in with it.' };
  }
}
