import { Body, Header, HttpCode, Post, Req, Res, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { RegistrationService, type StartedRegistration } from '../../registration/registration.service.js';
import { loginAnswer, type DoneAnswer, type LoginAnswer, type PendingAnswer } from '../answers.js';
import { headerOf, type AuthRequest } from '../auth-request.js';
import { Public } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { ClientIp } from '../client-ip.js';
import { CookieWriter } from '../cookie-writer.js';
import { emailField, mailedProof, newPasswordField, passwordField } from '../fields.js';
import { FlowCookie, REGISTRATION_FLOW as FLOW } from '../flow-cookie.js';
import { HttpSessions } from '../http-sessions.js';
import { OriginGuard } from '../origin.guard.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';

export const RegistrationBody = z.strictObject({
  email: emailField,
  password: newPasswordField('The password of the new account. Without it, it is chosen at the end.').optional(),
});

export const RegistrationResendBody = z.strictObject({ email: emailField });

export const RegistrationConfirmationBody = mailedProof({
  password: passwordField(
    'The password of the account: in another browser than the one that asked, or if none has been chosen.',
  ).optional(),
});

const NO_STORE = ['Cache-Control', 'no-store'] as const;
const STARTED: DoneAnswer = { message: 'A mail is on its way. Open its link, or type its code here.' };

/** `flows.registration`. */
@UseGuards(OriginGuard, SessionGuard)
export class RegistrationController {
  constructor(
    private readonly registration: RegistrationService,
    private readonly http: HttpSessions,
    private readonly clientIp: ClientIp,
    private readonly cookie: FlowCookie,
    private readonly writer: CookieWriter,
  ) {}

  /** Asks for an account: the same answer for every address, and a mail after it. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'register_ip' })
  @RateLimit({ event: 'mail_ip' })
  @Post('register')
  @HttpCode(202)
  @Header(...NO_STORE)
  async register(
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<DoneAnswer> {
    const { email, password } = parseBody(RegistrationBody, body, 'a registration');
    const started = await this.registration.register(email, { password, ip: this.clientIp.of(request) });
    return this.started(request, response, started);
  }

  /** Asks for another mail, which voids the earlier one. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'register_ip' })
  @RateLimit({ event: 'mail_ip' })
  @Post('register/resend')
  @HttpCode(202)
  @Header(...NO_STORE)
  resendRegistration(
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): DoneAnswer {
    const { email } = parseBody(RegistrationResendBody, body, 'a registration');
    return this.started(request, response, this.registration.resend(email, { browsers: this.browsersOf(request) }));
  }

  /** Opens the account and its first session, and sets the cookie. The session of a cookie that was sent along ends. */
  @Public()
  @TakesBody()
  @Post('register/confirm')
  @HttpCode(200)
  @Header(...NO_STORE)
  async confirmRegistration(
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<LoginAnswer | PendingAnswer> {
    const proof = parseBody(RegistrationConfirmationBody, body, 'the end of a registration');
    const browsers = this.browsersOf(request);
    const login = await this.http.open(request, response, (context) =>
      this.registration.confirm(proof, { ...context, browsers }),
    );
    this.writer.add(response, this.cookie.clear(FLOW));
    return loginAnswer(login);
  }

  private browsersOf(request: AuthRequest): string[] {
    return this.cookie.values(FLOW, headerOf(request, 'cookie'));
  }

  private started(request: AuthRequest, response: object, { browser, expiresAt }: StartedRegistration): DoneAnswer {
    const cookie = this.cookie.add(FLOW, { value: browser, expiresAt }, headerOf(request, 'cookie'));
    this.writer.add(response, cookie);
    return STARTED;
  }
}
