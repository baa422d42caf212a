import { Body, Get, Post, Query, Req, Res } from '@nestjs/common';
import { AuthConfig } from '../config/auth-config.js';
import type { AuthRequest } from '../http/auth-request.js';
import { Public } from '../http/auth.decorators.js';
import { MagicLinkController } from '../http/flows/magic-link.controller.js';
import { card, field, form, formOf, hidden, isTicked, notes, rememberBox, submit, typed, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { HeldLogins } from './held-logins.js';
import { markup } from './html.js';
import type { PageContent } from './layout.js';
import { aboutCode, proofField, proofOf } from './mailed-link.js';
import { PageAnswers } from './page-answers.js';
import { destinationOf, withNext } from './page-names.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';

/** `flows.magicLink`: asks for a link, and what it opens. */
@Pages()
export class MagicLinkPages {
  constructor(
    private readonly links: MagicLinkController,
    private readonly held: HeldLogins,
    private readonly answers: PageAnswers,
    private readonly config: AuthConfig,
  ) {}

  @Public()
  @Get('p/ask-link')
  showRequest(@Res() response: object, @Query() query: Form): unknown {
    return this.answers.show(response, this.page({ next: query['next'] }));
  }

  @Post('p/ask-link')
  @GuardedAs(MagicLinkController, 'requestMagicLink')
  ask(@Req() request: AuthRequest, @Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    const next = destinationOf(sent['next']);
    return this.answers.submit(
      response,
      async () => {
        // A page of ours stands beside this one, and is no path of the application: it is kept by the form alone.
        const returnTo = next.startsWith('/') ? next : undefined;
        const remember = isTicked(sent['remember']);
        this.links.requestMagicLink(request, response, { email: sent['email'], returnTo, remember });
        return withNext('link?sent', next);
      },
      (problem) => this.page(sent, problem),
    );
  }

  @Public()
  @Get('p/link')
  showLink(@Res() response: object, @Query() query: Form): unknown {
    const { texts } = this.answers;
    const done = 'sent' in query ? texts.magicLinkSent : undefined;
    return this.answers.show(response, this.linked({ next: query['next'] }, undefined, done));
  }

  @Post('p/link')
  @GuardedAs(MagicLinkController, 'confirmMagicLink')
  confirm(@Req() request: AuthRequest, @Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        const answer = await this.links.confirmMagicLink(request, response, proofOf(sent['code']));
        // The link knows where its user wanted to go, in whichever window it is opened.
        return this.held.goOn(request, response, answer, destinationOf(answer.returnTo ?? sent['next']));
      },
      (problem) => this.linked(sent, aboutCode(problem)),
    );
  }

  private page(sent: Form, problem?: Problem): PageContent {
    const { texts } = this.answers;
    const next = destinationOf(sent['next']);
    const content = markup`${card(
      notes(problem),
      markup`<p>${texts.magicLinkHint}</p>`,
      form(
        'ask-link',
        hidden('next', next),
        field({ name: 'email', label: texts.email, autocomplete: 'username', value: typed(sent, 'email') }, problem),
        rememberBox(this.config, texts, sent),
        submit(texts.sendLink),
      ),
    )}
      <nav class="lk-links">
        <p><a href="${withNext('sign-in', next)}">${texts.back}</a></p>
      </nav>`;
    return { name: 'ask-link', title: texts.magicLink, content };
  }

  private linked(sent: Form, problem?: Problem, done?: string): PageContent {
    const { texts } = this.answers;
    const next = destinationOf(sent['next']);
    const content = markup`${card(
      notes(problem, done),
      form('link', hidden('next', next), proofField(sent, texts, problem), submit(texts.signIn)),
    )}
      <nav class="lk-links">
        <p><a href="${withNext('ask-link', next)}">${texts.resend}</a></p>
      </nav>`;
    return { name: 'link', title: texts.signIn, content };
  }
}
