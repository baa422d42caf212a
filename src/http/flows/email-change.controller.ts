import { Body, Header, HttpCode, Post, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { EmailChangeService } from '../../email-change/email-change.service.js';
import type { AuthUser } from '../../user/user.directory.js';
import { StepUpMethods } from '../../login/step-up-methods.js';
import type { Session } from '../../session/session.js';
import type { DoneAnswer } from '../answers.js';
import { RequireFresh } from '../assurance.decorators.js';
import { CurrentSession, CurrentUser, Public } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { emailField, LinkBody } from '../fields.js';
import { OriginGuard } from '../origin.guard.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';

const NO_STORE = ['Cache-Control', 'no-store'] as const;

export const EmailChangeBody = z.strictObject({ email: emailField });
/** `flows.emailChange`. */
@UseGuards(OriginGuard, SessionGuard)
export class EmailChangeController {
  constructor(
    private readonly changes: EmailChangeService,
    private readonly stepUps: StepUpMethods,
  ) {}

  /**
   * Mails a link to the new address, if it is free. The answer is the same either way. It needs a fresh session that has
   * proved as much as the account can: codes by mail would go to the new address.
   */
  @RequireFresh()
  @TakesBody()
  @RateLimit({ event: 'mail_ip' })
  @Post('change-email')
  @HttpCode(202)
  @Header(...NO_STORE)
  async changeEmail(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Body() body: unknown,
  ): Promise<DoneAnswer> {
    const { email } = parseBody(EmailChangeBody, body, 'a change of address');
    await this.stepUps.demandMost(session);
    this.changes.request(user, email);
    return { message: 'If the address is free, a mail with a link is on its way to it.' };
  }

  /** The link that was mailed to the new address. It opens no session. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'mail_ip' })
  @Post('confirm-email-change')
  @HttpCode(200)
  @Header(...NO_STORE)
  async confirmEmailChange(@Body() body: unknown): Promise<DoneAnswer> {
    await this.changes.confirm(parseBody(LinkBody, body, 'a link').token);
    return { message: 'The address has been changed.' };
  }

  /** The link that was mailed to the old address: takes the change back, and logs everybody out. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'revert_ip' })
  @Post('revert-email-change')
  @HttpCode(200)
  @Header(...NO_STORE)
  async revertEmailChange(@Body() body: unknown): Promise<DoneAnswer> {
    await this.changes.revert(parseBody(LinkBody, body, 'a link').token);
    return { message: 'The address has been changed back. Choose a new password by the link in the mail.' };
  }
}
