import { Body, Get, Post, Query, Req, Res } from '@nestjs/common';
import { AuthConfig } from '../config/auth-config.js';
import { AuthController } from '../http/auth.controller.js';
import type { AuthRequest } from '../http/auth-request.js';
import { Public } from '../http/auth.decorators.js';
import { field, card, formOf, hidden, isTicked, notes, rememberBox, submit, typed, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { HeldLogins } from './held-logins.js';
import { markup } from './html.js';
import type { PageContent } from './layout.js';
import { PageAnswers } from './page-answers.js';
import { destinationOf, withNext } from './page-names.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';
import { providerProblem } from './provider-errors.js';
import { otherWays } from './sign-in-ways.js';

/** Sign in by password, and what stands beside it. */
@Pages()
export class SignInPages {
  constructor(
    private readonly auth: AuthController,
    private readonly held: HeldLogins,
    private readonly answers: PageAnswers,
    private readonly config: AuthConfig,
  ) {}

  @Public()
  @Get('p/sign-in')
  showSignIn(@Res() response: object, @Query() query: Form): unknown {
    const { texts } = this.answers;
    const done = DONE[String(Object.keys(query).find((key) => Object.hasOwn(DONE, key)))];
    const problem = providerProblem(query['error'], texts);
    return this.answers.show(response, this.page({ next: query['next'] }, problem, done && texts[done]));
  }

  @Post('p/sign-in')
  @GuardedAs(AuthController, 'login')
  signIn(@Req() request: AuthRequest, @Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    const { email, password } = sent;
    const next = destinationOf(sent['next']);
    return this.answers.submit(
      response,
      async () => {
        const remember = isTicked(sent['remember']);
        const answer = await this.auth.login(request, response, { email, password, remember });
        return this.held.goOn(request, response, answer, next);
      },
      (problem) => this.page(sent, problem),
    );
  }

  @Post('p/sign-out')
  @GuardedAs(AuthController, 'logout')
  async signOut(@Req() request: AuthRequest, @Res() response: object): Promise<unknown> {
    await this.auth.logout(request, response);
    return this.answers.goTo(response, 'sign-in?signed-out');
  }

  private page(sent: Form, problem?: Problem, done?: string): PageContent {
    const { texts } = this.answers;
    const { flows } = this.config;
    const next = destinationOf(sent['next']);
    const others = otherWays({ config: this.config, texts, next });
    const content = markup`${card(
      notes(problem, done),
      markup`<form method="post" action="sign-in">
        ${hidden('next', next)}
        ${field(
          {
            name: 'email',
            label: texts.email,
            autocomplete: flows.passkeys?.routes ? 'username webauthn' : 'username',
            value: typed(sent, 'email'),
            passkeysTo: flows.passkeys?.routes ? next : undefined,
          },
          problem,
        )}
        ${field({ name: 'password', label: texts.password, type: 'password', autocomplete: 'current-password' }, problem)}
        ${rememberBox(this.config, texts, sent)} ${submit(texts.signIn)}
      </form>`,
      others &&
        markup`<p class="lk-or">${texts.or}</p>
            ${others}`,
    )}
      <nav class="lk-links">
        ${flows.passwordReset?.routes && markup`<p><a href="forgot">${texts.forgotten}</a></p>`}
        ${flows.registration?.routes && markup`<p>${texts.noAccount} <a href="${withNext('register', next)}">${texts.register}</a></p>`}
      </nav>`;
    return { name: 'sign-in', title: texts.signIn, content };
  }
}

/** What has just happened elsewhere, by the parameter that says so. */
const DONE = {
  again: 'signInAgain',
  'signed-out': 'signedOut',
  reset: 'resetDone',
  deleted: 'accountDeleted',
} as const satisfies Record<string, string> as Readonly<
  Record<string, 'signInAgain' | 'signedOut' | 'resetDone' | 'accountDeleted' | undefined>
>;
