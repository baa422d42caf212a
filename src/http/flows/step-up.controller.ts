import { Body, Get, Header, HttpCode, Post, Req, Res, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import type { Session } from '../../session/session.js';
import { StepUpService, type SteppedUp } from '../../step-up/step-up.service.js';
import { iso, type StepUpAnswer, type StepUpStateAnswer } from '../answers.js';
import type { AuthRequest } from '../auth-request.js';
import { CurrentSession } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { passwordField } from '../fields.js';
import { HttpSessions } from '../http-sessions.js';
import { OriginGuard } from '../origin.guard.js';
import { SessionGuard } from '../session.guard.js';

export const StepUpBody = z.strictObject({
  method: z.literal('password', 'must be password').describe('How the user proves who they are.'),
  password: passwordField('The password of the account.'),
});

/** `flows.stepUp`. */
@UseGuards(OriginGuard, SessionGuard)
export class StepUpController {
  constructor(
    private readonly stepUps: StepUpService,
    private readonly http: HttpSessions,
  ) {}

  /** What the session has proved, and the methods by which its user can prove more. */
  @Get('step-up')
  @Header('Cache-Control', 'no-store')
  async stepUpState(@CurrentSession() session: Session): Promise<StepUpStateAnswer> {
    const { aal, amr, authenticatedAt } = session;
    const methods = await this.stepUps.methodsOf(session);
    return { aal, amr: [...amr], authenticatedAt: iso(authenticatedAt), methods };
  }

  /** Proves again who the user is, and gives the session a new token: in the cookie, or in the body for a bearer token. */
  @TakesBody()
  @Post('step-up')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async stepUp(
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<StepUpAnswer> {
    const { password } = parseBody(StepUpBody, body, 'a step-up');
    let stepped: SteppedUp | undefined;
    const { token } = await this.http.replace(
      request,
      response,
      async (context) => (stepped = await this.stepUps.byPassword(session, password, context)),
    );
    const { aal, amr, authenticatedAt } = stepped!.session;
    const expiresAt = iso(stepped!.credential.expiresAt);
    return { aal, amr: [...amr], authenticatedAt: iso(authenticatedAt), expiresAt, ...(token && { token }) };
  }
}
