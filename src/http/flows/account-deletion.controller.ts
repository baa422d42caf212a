import { Delete, Header, HttpCode, Req, Res, UseGuards } from '@nestjs/common';
import { AccountDeletionService } from '../../account-deletion/account-deletion.service.js';
import type { DoneAnswer } from '../answers.js';
import type { AuthRequest } from '../auth-request.js';
import { RequireFresh } from '../assurance.decorators.js';
import { StepUpMethods } from '../../login/step-up-methods.js';
import type { Session } from '../../session/session.js';
import type { AuthUser } from '../../user/user.directory.js';
import { CurrentSession, CurrentUser } from '../auth.decorators.js';
import { TakesNoBody } from '../body-parse-errors.js';
import { HttpSessions } from '../http-sessions.js';
import { OriginGuard } from '../origin.guard.js';
import { SessionGuard } from '../session.guard.js';

/** `flows.accountDeletion`. */
@UseGuards(OriginGuard, SessionGuard)
export class AccountDeletionController {
  constructor(
    private readonly accounts: AccountDeletionService,
    private readonly stepUps: StepUpMethods,
    private readonly http: HttpSessions,
  ) {}

  /**
   * Deletes the account of the user, ends everything that is logged in to it, and clears the cookie. It needs a fresh
   * session that has proved as much as the account can.
   */
  @RequireFresh()
  @TakesNoBody()
  @Delete('account')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async deleteAccount(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
  ): Promise<DoneAnswer> {
    await this.stepUps.demandMost(session);
    await this.accounts.delete(user.id, { by: { user, session } });
    await this.http.end(request, response);
    return { message: 'The account has been deleted.' };
  }
}
