import { Body, Get, Optional, Post, Query, Req, Res } from '@nestjs/common';
import { AuthConfig } from '../config/auth-config.js';
import { isOAuth2 } from '../config/oidc-settings.js';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentSession } from '../http/auth.decorators.js';
import { OidcController } from '../http/flows/oidc.controller.js';
import { StepUpController } from '../http/flows/step-up.controller.js';
import type { Session } from '../session/session.js';
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
    private readonly answers: PageAnswers,
    private readonly config: AuthConfig,
    // Without `flows.oidc` there are none.
    @Optional() private readonly identities?: OidcController,
  ) {}

  @Get('p/step-up')
  @GuardedAs(StepUpController, 'stepUpState')
  showStepUp(@CurrentSession() session: Session, @Res() response: object, @Query() query: Form): Promise<unknown> {
    return this.page(session, query).then((page) => this.answers.show(response, page));
  }

  @Post('p/step-up')
  @GuardedAs(StepUpController, 'stepUp')
  stepUp(
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
        return this.page(session, sent, { summary: code === 'INVALID_CREDENTIALS' ? errorPassword : summary, fields });
      },
    );
  }

  @Post('p/step-up-send')
  @GuardedAs(StepUpController, 'sendStepUp')
  send(
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
      (problem) => this.page(session, sent, problem),
    );
  }

  private async page(session: Session, sent: Form, problem?: Problem): Promise<PageContent> {
    const { texts } = this.answers;
    const next = destinationOf(sent['next']);
    const { methods } = await this.stepUps.stepUpState(session);
    const forms = methods
      .filter((method) => method !== 'oidc')
      .map((method) => this.formOf(method, next, method === sent['chosen'] ? problem : undefined));
    if (methods.includes('oidc')) forms.push(...(await this.providerForms(session.userId, next)));
    const content = markup`${notes(problem, 'sent' in sent ? texts.codeSent : undefined)}
      ${forms.length === 0 ? card(markup`<p>${texts.noMethod}</p>`) : forms}
      <nav class="lk-links">
        <p><a href="account">${texts.cancel}</a></p>
      </nav>`;
    return { name: 'step-up', title: texts.twoFactor, content };
  }

  /** Of the providers that can say when their user has proved who they are. */
  private async providerForms(userId: string, next: string): Promise<Html[]> {
    const { texts } = this.answers;
    const own = new Set((await this.identities?.listIdentities(userId))?.map(({ provider }) => provider));
    const providers = this.config.flows.oidc?.providers.filter((one) => own.has(one.id) && !isOAuth2(one)) ?? [];
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
