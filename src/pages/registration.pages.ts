import { Body, Get, Post, Query, Req, Res } from '@nestjs/common';
import type { AuthRequest } from '../http/auth-request.js';
import { Public } from '../http/auth.decorators.js';
import { RegistrationController } from '../http/flows/registration.controller.js';
import { card, field, filled, form, formOf, hidden, notes, submit, typed, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { HeldLogins } from './held-logins.js';
import { markup } from './html.js';
import type { PageContent } from './layout.js';
import { aboutCode, proofField, proofOf } from './mailed-link.js';
import { PageAnswers } from './page-answers.js';
import { destinationOf, withNext } from './page-names.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';

/** `flows.registration`: the form, and what the mailed link opens. */
@Pages()
export class RegistrationPages {
  constructor(
    private readonly registration: RegistrationController,
    private readonly held: HeldLogins,
    private readonly answers: PageAnswers,
  ) {}

  @Public()
  @Get('p/register')
  showRegistration(@Res() response: object, @Query() query: Form): unknown {
    return this.answers.show(response, this.page({ next: query['next'] }));
  }

  @Post('p/register')
  @GuardedAs(RegistrationController, 'register')
  register(@Req() request: AuthRequest, @Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        const { email, password } = sent;
        await this.registration.register(request, response, { email, password });
        return withNext('confirm?sent', destinationOf(sent['next']));
      },
      (problem) => this.page(sent, problem),
    );
  }

  /** Only asks for a click: scanners open every link of a mail, and what is behind its `#` reaches no server. */
  @Public()
  @Get('p/confirm')
  showConfirmation(@Res() response: object, @Query() query: Form): unknown {
    return this.answers.show(response, this.confirmation({ next: query['next'] }, { isSent: 'sent' in query }));
  }

  @Post('p/confirm')
  @GuardedAs(RegistrationController, 'confirmRegistration')
  confirm(@Req() request: AuthRequest, @Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        const proof = { ...proofOf(sent['code']), password: filled(sent['password']) };
        const answer = await this.registration.confirmRegistration(request, response, proof);
        return this.held.goOn(request, response, answer, destinationOf(sent['next']));
      },
      // The token of a link is not shown again as what was typed: it is kept for the next try.
      (problem) => this.confirmation(sent, { problem: aboutCode(problem) }),
    );
  }

  @Public()
  @Get('p/resend')
  showResend(@Res() response: object): unknown {
    return this.answers.show(response, this.resending({}));
  }

  @Post('p/resend')
  @GuardedAs(RegistrationController, 'resendRegistration')
  resend(@Req() request: AuthRequest, @Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        this.registration.resendRegistration(request, response, { email: sent['email'] });
        return 'confirm?sent';
      },
      (problem) => this.resending(sent, problem),
    );
  }

  private page(sent: Form, problem?: Problem): PageContent {
    const { texts } = this.answers;
    const next = destinationOf(sent['next']);
    const content = markup`${card(
      notes(problem),
      form(
        'register',
        hidden('next', next),
        field(
          { name: 'email', label: texts.email, type: 'email', autocomplete: 'username', value: typed(sent, 'email') },
          problem,
        ),
        field(
          {
            name: 'password',
            label: texts.password,
            type: 'password',
            autocomplete: 'new-password',
            hint: texts.passwordHint,
          },
          problem,
        ),
        submit(texts.register),
      ),
    )}
      <nav class="lk-links">
        <p>${texts.hasAccount} <a href="${withNext('sign-in', next)}">${texts.signIn}</a></p>
      </nav>`;
    return { name: 'register', title: texts.register, content };
  }

  private confirmation(sent: Form, { problem, isSent = false }: { problem?: Problem; isSent?: boolean }): PageContent {
    const { texts } = this.answers;
    const content = markup`${card(
      notes(problem, isSent ? texts.registrationSent : undefined),
      form(
        'confirm',
        hidden('next', destinationOf(sent['next'])),
        proofField(sent, texts, problem),
        field(
          {
            name: 'password',
            label: texts.confirmPassword,
            type: 'password',
            autocomplete: 'current-password',
            hint: texts.confirmPasswordHint,
            isRequired: false,
          },
          problem,
        ),
        submit(texts.continue),
      ),
    )}
      <nav class="lk-links">
        <p><a href="resend">${texts.resend}</a></p>
      </nav>`;
    return { name: 'confirm', title: texts.confirm, content };
  }

  private resending(sent: Form, problem?: Problem): PageContent {
    const { texts } = this.answers;
    const content = card(
      notes(problem),
      form(
        'resend',
        field(
          { name: 'email', label: texts.email, type: 'email', autocomplete: 'username', value: typed(sent, 'email') },
          problem,
        ),
        submit(texts.resend),
      ),
    );
    return { name: 'resend', title: texts.resend, content };
  }
}
