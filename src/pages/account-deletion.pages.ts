import { Get, Post, Req, Res } from '@nestjs/common';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentSession, CurrentUser } from '../http/auth.decorators.js';
import { AccountDeletionController } from '../http/flows/account-deletion.controller.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { card, form, submit } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { markup } from './html.js';
import { PageAnswers } from './page-answers.js';
import { Pages } from './pages.decorator.js';

/** `flows.accountDeletion`. */
@Pages()
export class AccountDeletionPages {
  constructor(
    private readonly accounts: AccountDeletionController,
    private readonly answers: PageAnswers,
  ) {}

  @Get('p/delete-account')
  @GuardedAs(AccountDeletionController, 'deleteAccount')
  showDeletion(@Res() response: object): unknown {
    const { texts } = this.answers;
    const content = markup`${card(
      markup`<p>${texts.deleteAccountHint}</p>`,
      form('delete-account', submit(texts.deleteAccountSure, 'danger')),
    )}
      <nav class="lk-links">
        <p><a href="account">${texts.cancel}</a></p>
      </nav>`;
    return this.answers.show(response, { name: 'delete-account', title: texts.deleteAccount, content });
  }

  @Post('p/delete-account')
  @GuardedAs(AccountDeletionController, 'deleteAccount')
  async deleteAccount(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
  ): Promise<unknown> {
    await this.accounts.deleteAccount(user, session, request, response);
    return this.answers.goTo(response, 'sign-in?deleted');
  }
}
