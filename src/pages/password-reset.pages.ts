import { Body, Get, Post, Req, Res } from '@nestjs/common';
import type { AuthRequest } from '../http/auth-request.js';
import { Public } from '../http/auth.decorators.js';
import { PasswordResetController } from '../http/flows/password-reset.controller.js';
import { card, field, form, formOf, notes, submit, typed, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { markup } from './html.js';
import type { PageContent } from './layout.js';
import { linkField, tokenIn } from './mailed-link.js';
import { PageAnswers } from './page-answers.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';

/** `flows.passwordReset`: the form, and what the mailed link opens. */
@Pages()
export class PasswordResetPages {
  constructor(
    private readonly resets: PasswordResetController,
    private readonly answers: PageAnswers,
  ) {}

  @Public()
  @Get('p/forgot')
  showForgotten(@Res() response: object): unknown {
    return this.answers.show(response, this.page({}));
  }

  @Post('p/forgot')
  @GuardedAs(PasswordResetController, 'forgotPassword')
  forgotten(@Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        this.resets.forgotPassword({ email: sent['email'] });
        return 'reset?sent';
      },
      (problem) => this.page(sent, problem),
    );
  }

  /** Only asks for the new password: who opens the link has changed nothing yet. */
  @Public()
  @Get('p/reset')
  showReset(@Req() { url = '' }: AuthRequest, @Res() response: object): unknown {
    return this.answers.show(response, this.choosing({}, { isSent: url.endsWith('?sent') }));
  }

  @Post('p/reset')
  @GuardedAs(PasswordResetController, 'resetPassword')
  reset(@Req() request: AuthRequest, @Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        const { token, password } = sent;
        await this.resets.resetPassword(request, { token: tokenIn(token), password });
        return 'sign-in?reset';
      },
      (problem) => this.choosing(sent, { problem }),
    );
  }

  private page(sent: Form, problem?: Problem): PageContent {
    const { texts } = this.answers;
    const content = markup`${card(
      notes(problem),
      markup`<p>${texts.forgotHint}</p>`,
      form(
        'forgot',
        field(
          { name: 'email', label: texts.email, autocomplete: 'username', value: typed(sent, 'email'), isCode: false },
          problem,
        ),
        submit(texts.sendLink),
      ),
    )}
      <nav class="lk-links">
        <p><a href="sign-in">${texts.back}</a></p>
      </nav>`;
    return { name: 'forgot', title: texts.forgot, content };
  }

  private choosing(sent: Form, { problem, isSent = false }: { problem?: Problem; isSent?: boolean }): PageContent {
    const { texts } = this.answers;
    const content = markup`${card(
      notes(problem, isSent ? texts.forgotSent : undefined),
      form(
        'reset',
        linkField(sent, texts, problem),
        field(
          {
            name: 'password',
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
        <p><a href="forgot">${texts.forgot}</a></p>
      </nav>`;
    return { name: 'reset', title: texts.reset, content };
  }
}
