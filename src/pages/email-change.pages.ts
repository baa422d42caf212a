import { Body, Get, Post, Query, Res } from '@nestjs/common';
import { CurrentSession, CurrentUser, Public } from '../http/auth.decorators.js';
import { EmailChangeController } from '../http/flows/email-change.controller.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { card, field, form, formOf, notes, submit, typed, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { markup } from './html.js';
import type { PageContent } from './layout.js';
import { linkedPage, tokenIn } from './mailed-link.js';
import { PageAnswers } from './page-answers.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';

/** `flows.emailChange`: the form, and what its two links open. */
@Pages()
export class EmailChangePages {
  constructor(
    private readonly changes: EmailChangeController,
    private readonly answers: PageAnswers,
  ) {}

  /** Needs what the form needs, so that nobody types into one that is refused. */
  @Get('p/email')
  @GuardedAs(EmailChangeController, 'changeEmail', { isLimited: false })
  showEmail(@Res() response: object, @Query() query: Form): unknown {
    return this.answers.show(response, this.page({}, { isSent: 'sent' in query }));
  }

  @Post('p/email')
  @GuardedAs(EmailChangeController, 'changeEmail')
  change(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Res() response: object,
    @Body() body: unknown,
  ): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        await this.changes.changeEmail(user, session, { email: sent['email'] });
        return 'email?sent';
      },
      (problem) => this.page(sent, { problem }),
    );
  }

  @Public()
  @Get('p/confirm-email')
  showConfirmation(@Res() response: object, @Query() query: Form): unknown {
    return this.answers.show(response, this.linked('confirm-email', query));
  }

  @Post('p/confirm-email')
  @GuardedAs(EmailChangeController, 'confirmEmailChange')
  confirm(@Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        await this.changes.confirmEmailChange({ token: tokenIn(sent['token']) });
        return 'confirm-email?done';
      },
      (problem) => this.linked('confirm-email', sent, problem),
    );
  }

  @Public()
  @Get('p/revert-email')
  showRevert(@Res() response: object, @Query() query: Form): unknown {
    return this.answers.show(response, this.linked('revert-email', query));
  }

  @Post('p/revert-email')
  @GuardedAs(EmailChangeController, 'revertEmailChange')
  revert(@Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        await this.changes.revertEmailChange({ token: tokenIn(sent['token']) });
        return 'revert-email?done';
      },
      (problem) => this.linked('revert-email', sent, problem),
    );
  }

  private page(sent: Form, { problem, isSent = false }: { problem?: Problem; isSent?: boolean }): PageContent {
    const { texts } = this.answers;
    const content = markup`${card(
      notes(problem, isSent ? texts.changeEmailSent : undefined),
      form(
        'email',
        field(
          { name: 'email', label: texts.newEmail, type: 'email', autocomplete: 'email', value: typed(sent, 'email') },
          problem,
        ),
        submit(texts.continue),
      ),
    )}
      <nav class="lk-links">
        <p><a href="account">${texts.account}</a></p>
      </nav>`;
    return { name: 'email', title: texts.changeEmail, content };
  }

  private linked(name: 'confirm-email' | 'revert-email', sent: Form, problem?: Problem): PageContent {
    const { texts } = this.answers;
    const { confirmEmail, confirmEmailDone, revertEmail, revertEmailHint, revertEmailDone } = texts;
    const page =
      name === 'revert-email'
        ? { name, title: revertEmail, hint: revertEmailHint, done: revertEmailDone }
        : { name, title: confirmEmail, done: confirmEmailDone };
    return linkedPage(page, sent, texts, problem);
  }
}
