import { Body, Header, HttpCode, Post, UseGuards } from '@nestjs/common';
import { AccountRecovery } from '../../login/account-recovery.js';
import type { DoneAnswer } from '../answers.js';
import { Public } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { LinkBody } from '../fields.js';
import { OriginGuard } from '../origin.guard.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';

/** `flows.twoFactor` and `flows.passkeys`. */
@UseGuards(OriginGuard, SessionGuard)
export class FactorRevertController {
  constructor(private readonly recovery: AccountRecovery) {}

  /** The link in the mail about the first second factor: takes it back with all that came since, and logs everybody out. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'revert_ip' })
  @Post('revert-factor')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async revertFactor(@Body() body: unknown): Promise<DoneAnswer> {
    await this.recovery.takeBack('factor_revert', parseBody(LinkBody, body, 'a link').token);
    return { message: 'It has been removed. Choose a new password by the link in the mail.' };
  }
}
