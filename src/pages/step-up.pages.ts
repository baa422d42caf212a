import { Body, Get, Post, Query, Req, Res } from '@nestjs/common';
import { AuthConfig } from '../config/auth-config.js';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentSession, CurrentUser } from '../http/auth.decorators.js';
import { StepUpController } from '../http/flows/step-up.controller.js';
import type { StepUpWay } from '../login/ways-in.js';
import type { Session } from '../session/session.js';
import { StepUpService } from '../step-up/step-up.service.js';
import type { AuthUser } from '../user/user.directory.js';
import { methodName, passkeyForm } from './factor-fields.js';
import { card, field, filled, form, formOf, hidden, notes, section, submit, trimmed, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { markup, type Html } from './html.js';
import type { PageContent } from './layout.js';
import { PageAnswers } from './page-answers.js';
import { destinationOf, withNext } from './page-names.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';
import { withValues } from './with-values.js';

/** `flows.stepUp`: in front of what needs a fresh proof, and back to it. */
@Pages()
export class StepUpPages {
  constructor(
    private readonly stepUps: StepUpController,
    private readonly service: StepUpService,
    private readonly answers: PageAnswers,
    private readonly config: AuthConfig,
  ) {}

  @Get('p/step-up')
  @GuardedAs(StepUpController, 'stepUpState')
  async showStepUp(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Res() response: object,
    @Query() query: Form,
  ): Promise<unknown> {
    return this.answers.show(response, await this.page({ user, session }, query));
  }

  @Post('p/step-up')
  @GuardedAs(StepUpController, 'stepUp')
  stepUp(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Body() body: unknown,
  ): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        const { chosen: method, password, code } = sent;
        const proof = { method, password: filled(password), code: filled(trimmed(code)) };
        await this.stepUps.stepUp(session, request, response, proof);
        return destinationOf(sent['next']);
      },
      ({ summary, fields }, { code }) => {
        const { errorPassword } = this.answers.texts;
        const told = code === 'INVALID_CREDENTIALS' ? errorPassword : summary;
        return this.page({ user, session }, sent, { summary: told, fields });
      },
    );
  }

  @Post('p/step-up-send')
  @GuardedAs(StepUpController, 'sendStepUp')
  send(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Body() body: unknown,
  ): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        await this.stepUps.sendStepUp(session, request, { method: sent['chosen'] });
        return withNext('step-up?sent', destinationOf(sent['next']));
      },
      (problem) => this.page({ user, session }, sent, problem),
    );
  }

  private async page(
    { user, session }: { user: AuthUser; session: Session },
    sent: Form,
    problem?: Problem,
  ): Promise<PageContent> {
    const { texts } = this.answers;
    const next = destinationOf(sent['next']);
    const ways = await this.service.waysOf(session, { user });
    const forms = ways.flatMap(({ method, providers }: StepUpWay) =>
      providers
        ? this.providerForms(providers, next)
        : this.formOf(method, next, method === sent['chosen'] ? problem : undefined),
    );
    const content = markup`${notes(problem, 'sent' in sent ? texts.codeSent : undefined)}
      ${forms.length === 0 ? card(markup`<p>${texts.noMethod}</p>`) : forms}
      <nav class="lk-links">
        <p><a href="account">${texts.cancel}</a></p>
      </nav>`;
    return { name: 'step-up', title: texts.twoFactor, content };
  }

  private providerForms(own: readonly string[], next: string): Html[] {
    const { texts } = this.answers;
    const providers = this.config.flows.oidc?.providers.filter(({ id }) => own.includes(id)) ?? [];
    return providers.map(({ id, label = id }) => {
      const title = withValues(texts.signInWith, { provider: label });
      return section(title, form(`step-up-provider?id=${id}`, hidden('next', next), submit(texts.continue)));
    });
  }

  private formOf(method: string, next: string, problem: Problem | undefined): Html {
    const { texts } = this.answers;
    const title = methodName(method, texts);
    if (method === 'passkey') return section(title, passkeyForm('step', { next, texts }));
    const kept = markup`${hidden('next', next)}${hidden('chosen', method)}`;
    const name = method === 'password' ? 'password' : 'code';
    const autocomplete = method === 'password' ? 'current-password' : 'one-time-code';
    const type = method === 'password' ? 'password' : 'text';
    return section(
      title,
      method === 'email-code' && form('step-up-send', kept, submit(texts.sendCode, 'plain')),
      form(
        'step-up',
        kept,
        field({ id: `${method}-${name}`, name, label: title, type, autocomplete, isCode: name === 'code' }, problem),
        submit(texts.continue),
      ),
    );
  }
}
