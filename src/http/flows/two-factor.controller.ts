import { Get, Header, UseGuards } from '@nestjs/common';
import { TwoFactorService } from '../../two-factor/two-factor.service.js';
import type { AuthUser } from '../../user/user.directory.js';
import type { TwoFactorAnswer } from '../answers.js';
import { CurrentUser } from '../auth.decorators.js';
import { OriginGuard } from '../origin.guard.js';
import { SessionGuard } from '../session.guard.js';

/** `flows.twoFactor`. */
@UseGuards(OriginGuard, SessionGuard)
export class TwoFactorController {
  constructor(private readonly twoFactor: TwoFactorService) {}

  /** The second factors that the user has. */
  @Get('2fa')
  @Header('Cache-Control', 'no-store')
  async twoFactorState(@CurrentUser() user: AuthUser): Promise<TwoFactorAnswer> {
    const { methods } = await this.twoFactor.statusOf(user);
    return { methods: [...methods] };
  }
}
