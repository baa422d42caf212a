import { Body, Controller, Post, Req, Res } from '@nestjs/common';
import { HttpSessions, PostgresUserDirectory, Public, type HttpRequest } from 'nestjs-latchkey';

/** A way in of the application itself: whoever says which account it is has it, as from an identity provider of SAML. */
@Controller('own')
export class SamlController {
  constructor(
    private readonly sessions: HttpSessions,
    private readonly users: PostgresUserDirectory,
  ) {}

  @Public()
  @Post('saml')
  saml(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object, @Body('email') email: string) {
    return this.sessions.start(req, res, { proofs: ['saml'], verify: () => this.users.findByLogin(email) });
  }
}
