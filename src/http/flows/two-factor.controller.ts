import { Body, Get, Header, HttpCode, NotFoundException, Post, Req, Res, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { AuthError } from '../../auth.errors.js';
import { AuthConfig } from '../../config/auth-config.js';
import type { TwoFactorSettings } from '../../config/two-factor-settings.js';
import type { Session } from '../../session/session.js';
import { TwoFactorService, type ChangedFactors, type TwoFactorContext } from '../../two-factor/two-factor.service.js';
import type { AuthUser } from '../../user/user.directory.js';
import {
  changedFactorsAnswer,
  type ChangedFactorsAnswer,
  type TotpSetupAnswer,
  type TwoFactorAnswer,
} from '../answers.js';
import type { AuthRequest } from '../auth-request.js';
import { CurrentSession, CurrentUser, OptionalAuth } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { codeField } from '../fields.js';
import { HttpSecondFactors } from '../http-second-factors.js';
import { HttpSessions } from '../http-sessions.js';
import { OriginGuard } from '../origin.guard.js';
import { SessionGuard } from '../session.guard.js';

const NO_STORE = ['Cache-Control', 'no-store'] as const;
const TOKEN = 'must be the token of a login that must enrol a factor';
const tokenField = z
  .string(TOKEN)
  .min(1, TOKEN)
  .max(256, TOKEN)
  .optional()
  .describe('The token of a login that must enrol a factor. Without it a session is needed.');

export const TotpSetupBody = z.strictObject({ token: tokenField });
export const TotpEnableBody = z.strictObject({ token: tokenField, code: codeField });
export const NoFieldsBody = z.strictObject({});

/** `flows.twoFactor`. */
@UseGuards(OriginGuard, SessionGuard)
export class TwoFactorController {
  constructor(
    private readonly twoFactor: TwoFactorService,
    private readonly http: HttpSessions,
    private readonly secondFactors: HttpSecondFactors,
    private readonly config: AuthConfig,
  ) {}

  /** The second factors that the user has. */
  @Get('2fa')
  @Header(...NO_STORE)
  async twoFactorState(@CurrentUser() user: AuthUser): Promise<TwoFactorAnswer> {
    const { methods, isTotpDisabled, ...counts } = await this.twoFactor.statusOf(user);
    return { methods: [...methods], totpDisabled: isTotpDisabled, ...counts };
  }

  /** A secret for an authenticator app, for the session, or for a login that must enrol a factor. */
  @OptionalAuth()
  @TakesBody()
  @Post('2fa/totp/setup')
  @HttpCode(200)
  @Header(...NO_STORE)
  async setUpTotp(
    @CurrentSession() session: Session | undefined,
    @Req() request: AuthRequest,
    @Body() body: unknown,
  ): Promise<TotpSetupAnswer> {
    this.offers('totp');
    const { token } = parseBody(TotpSetupBody, body, 'the set-up of an authenticator');
    if (token === undefined) return this.twoFactor.setUpTotp(live(session));
    return this.twoFactor.setUpTotpFor({ token, challenges: this.secondFactors.challengesOf(request) });
  }

  /** Proves that secret by a code, and hands out a session of two factors. */
  @OptionalAuth()
  @TakesBody()
  @Post('2fa/totp/enable')
  @HttpCode(200)
  @Header(...NO_STORE)
  async enableTotp(
    @CurrentSession() session: Session | undefined,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<ChangedFactorsAnswer> {
    this.offers('totp');
    const { token, code } = parseBody(TotpEnableBody, body, 'the proof of an authenticator');
    if (token === undefined) {
      const current = live(session);
      return this.replace(request, response, (context) => this.twoFactor.enableTotp(current, code, context));
    }
    let backupCodes: readonly string[] = [];
    const started = await this.secondFactors.completeBy(request, response, async (challenges, context) => {
      const completed = await this.twoFactor.enableTotpFor({ token, challenges }, code, context);
      ({ backupCodes } = completed);
      return completed;
    });
    return changedFactorsAnswer(started, backupCodes);
  }

  /** Removes the authenticator app. */
  @TakesBody()
  @Post('2fa/totp/disable')
  @HttpCode(200)
  @Header(...NO_STORE)
  disableTotp(
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<ChangedFactorsAnswer> {
    this.offers('totp');
    parseBody(NoFieldsBody, body, 'the removal of an authenticator');
    return this.replace(request, response, (context) => this.twoFactor.disableTotp(session, context));
  }

  /** New backup codes; those before are void. */
  @TakesBody()
  @Post('2fa/backup-codes')
  @HttpCode(200)
  @Header(...NO_STORE)
  regenerateBackupCodes(
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<ChangedFactorsAnswer> {
    this.offers('backupCodes');
    parseBody(NoFieldsBody, body, 'a request for backup codes');
    return this.replace(request, response, (context) => this.twoFactor.regenerateBackupCodes(session, context));
  }

  private async replace(
    request: AuthRequest,
    response: object,
    work: (context: TwoFactorContext) => Promise<ChangedFactors>,
  ): Promise<ChangedFactorsAnswer> {
    let changed: ChangedFactors | undefined;
    const { token } = await this.http.replace(request, response, async (context) => (changed = await work(context)));
    const { user, credential, backupCodes } = changed!;
    return changedFactorsAnswer({ user, expiresAt: credential.expiresAt, token }, backupCodes);
  }

  /** With a factory it is known only now which factors the settings have. */
  private offers(factor: keyof TwoFactorSettings): void {
    if (this.config.flows.twoFactor?.[factor] === undefined) throw new NotFoundException();
  }
}

function live(session: Session | undefined): Session {
  if (session) return session;
  throw new AuthError('UNAUTHENTICATED', 'Log in, or send the token of a login that must enrol a factor.', {});
}
