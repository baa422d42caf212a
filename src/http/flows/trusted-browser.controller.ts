import { Delete, Header, HttpCode, Res, UseGuards } from '@nestjs/common';
import type { DoneAnswer } from '../answers.js';
import { CurrentUser } from '../auth.decorators.js';
import { TakesNoBody } from '../body-parse-errors.js';
import { HttpSecondFactors } from '../http-second-factors.js';
import { OriginGuard } from '../origin.guard.js';
import { SessionGuard } from '../session.guard.js';

/** `flows.twoFactor.trustedBrowsers`. */
@UseGuards(OriginGuard, SessionGuard)
export class TrustedBrowserController {
  constructor(private readonly secondFactors: HttpSecondFactors) {}

  /** From now on the second step is due in every browser. */
  @TakesNoBody()
  @Delete('2fa/trusted-browsers')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async forgetTrustedBrowsers(
    @CurrentUser('id') userId: string,
    @Res({ passthrough: true }) response: object,
  ): Promise<DoneAnswer> {
    await this.secondFactors.forgetTrustedBrowsers(response, userId);
    return { message: 'No browser is trusted any more.' };
  }
}
