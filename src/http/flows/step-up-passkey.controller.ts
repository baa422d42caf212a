import { Header, HttpCode, Post, UseGuards } from '@nestjs/common';
import type { PasskeyRequestOptions } from '../../passkey/ceremony-options.js';
import { PasskeyFactor } from '../../passkey/passkey.factor.js';
import type { Session } from '../../session/session.js';
import { StepUpService } from '../../step-up/step-up.service.js';
import { CurrentSession } from '../auth.decorators.js';
import { TakesNoBody } from '../body-parse-errors.js';
import { OriginGuard } from '../origin.guard.js';
import { SessionGuard } from '../session.guard.js';

/** `flows.stepUp` and `flows.passkeys` together. */
@UseGuards(OriginGuard, SessionGuard)
export class StepUpPasskeyController {
  constructor(
    private readonly stepUps: StepUpService,
    private readonly factor: PasskeyFactor,
  ) {}

  /** What the browser needs to step the session up by a passkey of its user. */
  @TakesNoBody()
  @Post('step-up/passkey/options')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async stepUpPasskeyOptions(@CurrentSession() session: Session): Promise<PasskeyRequestOptions> {
    return this.factor.options(await this.stepUps.occasion(session, this.factor.method));
  }
}
