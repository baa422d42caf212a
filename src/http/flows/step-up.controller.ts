import { Body, Get, Header, HttpCode, Post, Req, Res, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { PasskeyAssertionSchema } from '../../passkey/passkey-responses.js';
import type { Session } from '../../session/session.js';
import { StepUpService, type SteppedUp } from '../../step-up/step-up.service.js';
import type { AuthUser } from '../../user/user.directory.js';
import { iso, type DoneAnswer, type StepUpAnswer, type StepUpStateAnswer } from '../answers.js';
import type { AuthRequest } from '../auth-request.js';
import { CurrentSession, CurrentUser } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { ClientIp } from '../client-ip.js';
import { CODE, codeField, methodField, PASSWORD, passwordField } from '../fields.js';
import { HttpSessions } from '../http-sessions.js';
import { OriginGuard } from '../origin.guard.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';

const METHOD = 'must be one of the methods that the user has';

export const StepUpBody = z
  .strictObject({
    method: methodField(METHOD).describe(
      'How the user proves who they are: `password`, or the method of a second factor.',
    ),
    password: passwordField('The password of the account, if that is the method.').optional(),
    code: codeField.optional(),
    response: PasskeyAssertionSchema.optional(),
  })
  .superRefine(({ method, ...given }, context) => {
    const needed = method === 'password' ? 'password' : given.response === undefined ? 'code' : 'response';
    const needs = needed === 'code' ? CODE : PASSWORD;
    if (given[needed] === undefined) context.addIssue({ code: 'custom', path: [needed], message: needs });
    for (const other of ['password', 'code', 'response'] as const) {
      if (other === needed || given[other] === undefined) continue;
      context.addIssue({ code: 'custom', path: [other], message: 'is not a field here' });
    }
  });

export const StepUpRequestBody = z.strictObject({
  method: methodField(METHOD).describe('The method of the second factor.'),
});

/** `flows.stepUp`. */
@UseGuards(OriginGuard, SessionGuard)
export class StepUpController {
  constructor(
    private readonly stepUps: StepUpService,
    private readonly http: HttpSessions,
    private readonly clientIp: ClientIp,
  ) {}

  /** What the session has proved, and the methods by which its user can prove more. */
  @Get('step-up')
  @Header('Cache-Control', 'no-store')
  async stepUpState(@CurrentSession() session: Session, @CurrentUser() user: AuthUser): Promise<StepUpStateAnswer> {
    const { aal, amr, authenticatedAt } = session;
    const methods = await this.stepUps.methodsOf(session, { user });
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
    const { method, password, code, response: passkey } = parseBody(StepUpBody, body, 'a step-up');
    let stepped: SteppedUp | undefined;
    const { token } = await this.http.replace(request, response, async (context) => {
      stepped =
        method === 'password'
          ? await this.stepUps.byPassword(session, password!, context)
          : await this.stepUps.byFactor(session, method, code ?? JSON.stringify(passkey), context);
      return stepped;
    });
    const { aal, amr, authenticatedAt } = stepped!.session;
    const expiresAt = iso(stepped!.credential.expiresAt);
    return { aal, amr: [...amr], authenticatedAt: iso(authenticatedAt), expiresAt, ...(token && { token }) };
  }

  /** Asks for what the user needs for the proof, such as a code by mail. */
  @TakesBody()
  @RateLimit({ event: 'mail_ip' })
  @Post('step-up/send')
  @HttpCode(202)
  @Header('Cache-Control', 'no-store')
  async sendStepUp(
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Body() body: unknown,
  ): Promise<DoneAnswer> {
    const { method } = parseBody(StepUpRequestBody, body, 'a step-up');
    await this.stepUps.request(session, method, { ip: this.clientIp.of(request) });
    return { message: 'What you need is on its way.' };
  }
}
