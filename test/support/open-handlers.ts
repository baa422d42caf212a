import { Get } from '@nestjs/common';
import { OptionalAuth, Public } from 'nestjs-latchkey';

/** Handlers that say of themselves that they are open, for a controller to inherit. */
export abstract class OpenHandlers {
  @Public()
  @Get('public')
  open() {
    return {};
  }

  @OptionalAuth()
  @Get('optional')
  optional() {
    return {};
  }
}
