import { Body, Delete, Get, Header, HttpCode, Param, Patch, Post, Req, Res, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import type { PasskeyCreationOptions, PasskeyRequestOptions } from '../../passkey/ceremony-options.js';
import { PasskeyFactor } from '../../passkey/passkey.factor.js';
import { PasskeyLoginService } from '../../passkey/passkey-login.service.js';
import { PasskeyAssertionSchema, PasskeyRegistrationSchema } from '../../passkey/passkey-responses.js';
import { PasskeyService, type Passkey } from '../../passkey/passkey.service.js';
import type { Session } from '../../session/session.js';
import type { AuthUser } from '../../user/user.directory.js';
import {
  loginAnswer,
  newTokenAnswer,
  type ChangedAnswer,
  type DoneAnswer,
  type LoginAnswer,
  type PendingAnswer,
} from '../answers.js';
import { headerOf, type AuthRequest } from '../auth-request.js';
import { CurrentSession, CurrentUser, Public } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody, TakesNoBody } from '../body-parse-errors.js';
import { CookieWriter } from '../cookie-writer.js';
import { nameField, rememberField } from '../fields.js';
import { FlowCookie } from '../flow-cookie.js';
import { HttpSecondFactors } from '../http-second-factors.js';
import { HttpSessions } from '../http-sessions.js';
import { OriginGuard } from '../origin.guard.js';
import { passkeyAnswer, type AddedPasskeyAnswer, type PasskeyAnswer } from '../passkey-answers.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';

export const PasskeyBody = z.strictObject({
  response: PasskeyRegistrationSchema,
  name: nameField('What its user calls it.').optional(),
});

export const PasskeyNameBody = z.strictObject({ name: nameField('What its user calls it.') });

export const PasskeyLoginBody = z.strictObject({ response: PasskeyAssertionSchema, remember: rememberField });

const TOKEN = 'must be the token of the first step';

export const HeldLoginBody = z.strictObject({
  token: z.string(TOKEN).max(256, TOKEN).describe('The token of the first step.'),
});

const NO_STORE = ['Cache-Control', 'no-store'] as const;
const FLOW = 'passkey';

/** `flows.passkeys`. */
@UseGuards(OriginGuard, SessionGuard)
export class PasskeyController {
  constructor(
    private readonly passkeys: PasskeyService,
    private readonly logins: PasskeyLoginService,
    private readonly factor: PasskeyFactor,
    private readonly http: HttpSessions,
    private readonly secondFactors: HttpSecondFactors,
    private readonly cookie: FlowCookie,
    private readonly writer: CookieWriter,
  ) {}

  /** What the browser needs to make a passkey. */
  @TakesNoBody()
  @Post('passkeys/options')
  @HttpCode(200)
  @Header(...NO_STORE)
  passkeyOptions(@CurrentUser() user: AuthUser, @CurrentSession() session: Session): Promise<PasskeyCreationOptions> {
    return this.passkeys.creationOptions({ user, session });
  }

  /** Adds the passkey that it has made. */
  @TakesBody()
  @Post('passkeys')
  @HttpCode(201)
  @Header(...NO_STORE)
  async addPasskey(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<AddedPasskeyAnswer> {
    const { response: made, name } = parseBody(PasskeyBody, body, 'a passkey');
    let added: Passkey | undefined;
    const going = await this.http.update(request, response, async (context) => {
      const { credential, ...passkey } = await this.passkeys.register({ user, session, ...context }, made, { name });
      added = passkey;
      return credential;
    });
    return { ...passkeyAnswer(added!), ...newTokenAnswer(going) };
  }

  @Get('passkeys')
  @Header(...NO_STORE)
  async listPasskeys(@CurrentUser('id') userId: string): Promise<PasskeyAnswer[]> {
    return (await this.passkeys.list(userId)).map(passkeyAnswer);
  }

  @TakesBody()
  @Patch('passkeys/:id')
  @Header(...NO_STORE)
  async renamePasskey(
    @CurrentUser('id') userId: string,
    @Param('id') id: string,
    @Body() body: unknown,
  ): Promise<DoneAnswer> {
    await this.passkeys.rename(userId, id, parseBody(PasskeyNameBody, body, 'the name of a passkey').name);
    return { message: 'The passkey has its new name.' };
  }

  /** Removes it, and ends the other sessions of the user. */
  @TakesNoBody()
  @Delete('passkeys/:id')
  @HttpCode(200)
  @Header(...NO_STORE)
  async removePasskey(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Param('id') id: string,
  ): Promise<ChangedAnswer> {
    const going = await this.http.update(request, response, (context) =>
      this.passkeys.remove({ user, session, ...context }, id),
    );
    return { message: 'The passkey has been removed.', ...newTokenAnswer(going) };
  }

  /** What the browser needs to use a passkey. It is the same for everybody, but for the challenge. */
  @Public()
  @TakesNoBody()
  @RateLimit({ event: 'passkey_ip' })
  @Post('passkey-login/options')
  @HttpCode(200)
  @Header(...NO_STORE)
  async passkeyLoginOptions(
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
  ): Promise<PasskeyRequestOptions> {
    const { options, browser } = await this.logins.start();
    this.writer.add(response, this.cookie.add(FLOW, browser, headerOf(request, 'cookie')));
    return options;
  }

  /** What the browser needs for the second step of a login. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'passkey_ip' })
  @Post('2fa/passkey/options')
  @HttpCode(200)
  @Header(...NO_STORE)
  async secondFactorPasskeyOptions(@Req() request: AuthRequest, @Body() body: unknown): Promise<PasskeyRequestOptions> {
    const { token } = parseBody(HeldLoginBody, body, 'a second step');
    return this.factor.options(await this.secondFactors.occasion(request, { token, method: this.factor.method }));
  }

  /** Opens the session of the passkey's account, and sets the cookie. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'passkey_ip' })
  @Post('passkey-login')
  @HttpCode(200)
  @Header(...NO_STORE)
  async passkeyLogin(
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<LoginAnswer | PendingAnswer> {
    const { response: assertion, remember } = parseBody(PasskeyLoginBody, body, 'a login by passkey');
    const browsers = this.cookie.values(FLOW, headerOf(request, 'cookie'));
    const login = await this.http.open(request, response, (context) =>
      this.logins.complete(assertion, { ...context, browsers, remember }),
    );
    this.writer.add(response, this.cookie.clear(FLOW));
    return loginAnswer(login);
  }
}
