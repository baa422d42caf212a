import { Body, Header, HttpCode, Post, Req, Res, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { PasswordChangeService } from '../../password/password-change.service.js';
import type { Session } from '../../session/session.js';
import { replacementAnswer, type ReplacementAnswer } from '../answers.js';
import type { AuthRequest } from '../auth-request.js';
import { CurrentSession, CurrentUser } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { newPasswordField, passwordField } from '../fields.js';
import { HttpSessions } from '../http-sessions.js';
import { OriginGuard } from '../origin.guard.js';
import { SessionGuard } from '../session.guard.js';

export const PasswordChangeBody = z.strictObject({
  currentPassword: passwordField('The password of the account as it is; left out if it has none yet.').optional(),
  newPassword: newPasswordField('The new password.'),
});

/** `flows.passwordChange`. */
@UseGuards(OriginGuard, SessionGuard)
export class PasswordChangeController {
  constructor(
    private readonly passwords: PasswordChangeService,
    private readonly http: HttpSessions,
  ) {}

  /**
   * Changes the password, ends every other session and token of the account, and gives this one a new token: in the
   * cookie, or in the body for a bearer token. An account without a password gets its first one in a fresh session.
   */
  @TakesBody()
  @Post('change-password')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async changePassword(
    @CurrentUser('id') userId: string,
    @CurrentSession() keep: Session,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<ReplacementAnswer> {
    const { currentPassword = null, newPassword } = parseBody(PasswordChangeBody, body, 'a change of password');
    return replacementAnswer(
      await this.http.replace(request, response, (context) =>
        this.passwords.changePassword(userId, currentPassword, newPassword, { ...context, keep }),
      ),
    );
  }
}
