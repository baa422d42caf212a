import { Body, Header, HttpCode, Post, Req, Res, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { AuthError } from '../../auth.errors.js';
import { AuthConfig } from '../../config/auth-config.js';
import { PasskeyAssertionSchema } from '../../passkey/passkey-responses.js';
import { iso, shown, type DoneAnswer, type LoginAnswer, type TokenAnswer } from '../answers.js';
import type { AuthRequest } from '../auth-request.js';
import { Public } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { CODE, codeField, methodField } from '../fields.js';
import { HttpSecondFactors } from '../http-second-factors.js';
import { OriginGuard } from '../origin.guard.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';

const NO_STORE = ['Cache-Control', 'no-store'] as const;
const TOKEN = 'must be the token of the first step';
const METHOD = 'must be one of the methods of the first step';

export const SecondFactorRequestBody = z.strictObject({
  token: z.string(TOKEN).max(256, TOKEN).describe('The token of the first step.'),
  method: methodField(METHOD).describe('Which of the methods it is.'),
});
export const SecondFactorBody = SecondFactorRequestBody.extend({
  code: codeField.optional(),
  response: PasskeyAssertionSchema.optional(),
  trustBrowser: z
    .boolean('must be true or false')
    .optional()
    .describe('Whether to leave the second step out in this browser for a while, where that is offered.'),
}).refine(({ code, response }) => (code === undefined) !== (response === undefined), {
  error: `${CODE}, or else there must be a response of a passkey, not both`,
  path: ['code'],
});

/** The second step of a login: see `secondFactors`. */
@UseGuards(OriginGuard, SessionGuard)
export class SecondFactorController {
  constructor(
    private readonly secondFactors: HttpSecondFactors,
    private readonly config: AuthConfig,
  ) {}

  /** Asks for what the user needs for the proof, such as a code by mail. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'mail_ip' })
  @Post('2fa/send')
  @HttpCode(202)
  @Header(...NO_STORE)
  async sendSecondFactor(@Req() request: AuthRequest, @Body() body: unknown): Promise<DoneAnswer> {
    await this.secondFactors.request(request, parseBody(SecondFactorRequestBody, body, 'a second step'));
    return { message: 'What you need is on its way.' };
  }

  /** Completes a login, and hands out the session as the first step asked for: in the cookie, or as a token. */
  @Public()
  @TakesBody()
  @Post('2fa/verify')
  @HttpCode(200)
  @Header(...NO_STORE)
  async verifySecondFactor(
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<LoginAnswer | TokenAnswer> {
    const { code, response: passkey, ...rest } = parseBody(SecondFactorBody, body, 'a second step');
    if (rest.trustBrowser !== undefined) this.requireTrust();
    const proof = code ?? JSON.stringify(passkey);
    const started = await this.secondFactors.complete(request, response, { ...rest, response: proof });
    const answer = { status: 'authenticated', user: shown(started.user), expiresAt: iso(started.expiresAt) } as const;
    return started.token === undefined ? answer : { ...answer, token: started.token, tokenType: 'Bearer' };
  }

  private requireTrust(): void {
    if (this.config.flows.twoFactor?.trustedBrowsers !== undefined) return;
    const fields = { trustBrowser: 'is not offered here: see flows.twoFactor.trustedBrowsers' };
    throw new AuthError('INVALID_INPUT', 'This application trusts no browsers.', { fields });
  }
}
