import { Body, Get, Post, Req, Res } from '@nestjs/common';
import type { AuthError } from '../auth.errors.js';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentSession, CurrentUser } from '../http/auth.decorators.js';
import { PasswordChangeController } from '../http/flows/password-change.controller.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { card, field, filled, form, formOf, notes, submit } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { markup } from './html.js';
import type { PageContent } from './layout.js';
import { PageAnswers } from './page-answers.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';

/** `flows.passwordChange`. */
@Pages()
export class PasswordPages {
  constructor(
    private readonly passwords: PasswordChangeController,
    private readonly answers: PageAnswers,
  ) {}

  @Get('p/password')
  @GuardedAs(PasswordChangeController, 'changePassword')
  showPassword(@CurrentUser() user: AuthUser, @Res() response: object): unknown {
    return this.answers.show(response, this.page(user));
  }

  @Post('p/password')
  @GuardedAs(PasswordChangeController, 'changePassword')
  change(
    @CurrentUser() user: AuthUser,
    @CurrentSession() keep: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Body() body: unknown,
  ): Promise<unknown> {
    const { currentPassword, newPassword } = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        const change = { currentPassword: filled(currentPassword), newPassword };
        await this.passwords.changePassword(user.id, keep, request, response, change);
        return 'account?password';
      },
      (problem, error) => this.page(user, this.about(problem, error)),
    );
  }

  /** Here nobody has typed an address. */
  private about(problem: Problem, { code }: AuthError): Problem {
    const { fields, summary } = problem;
    const { password, ...others } = fields;
    const { errorPassword } = this.answers.texts;
    if (code === 'INVALID_CREDENTIALS') return { summary: errorPassword, fields: { currentPassword: errorPassword } };
    return { summary, fields: password === undefined ? fields : { newPassword: password, ...others } };
  }

  private page(user: AuthUser, problem?: Problem): PageContent {
    const { texts } = this.answers;
    const content = markup`${card(
      notes(problem),
      markup`<p>${texts.changePasswordHint}</p>`,
      form(
        'password',
        // For the password manager, which has to know whose it is.
        markup`<input type="text" name="username" autocomplete="username" value="${user.email}" readonly hidden />`,
        field(
          {
            name: 'currentPassword',
            label: texts.currentPassword,
            type: 'password',
            autocomplete: 'current-password',
            // An account without one gets its first.
            isRequired: false,
          },
          problem,
        ),
        field(
          {
            name: 'newPassword',
            label: texts.newPassword,
            type: 'password',
            autocomplete: 'new-password',
            hint: texts.passwordHint,
          },
          problem,
        ),
        submit(texts.save),
      ),
    )}
      <nav class="lk-links">
        <p><a href="account">${texts.account}</a></p>
      </nav>`;
    return { name: 'password', title: texts.changePassword, content };
  }
}
