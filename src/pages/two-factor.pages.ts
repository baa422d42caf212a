import { Body, Get, Post, Query, Req, Res } from '@nestjs/common';
import { AuthConfig } from '../config/auth-config.js';
import type { AuthRequest } from '../http/auth-request.js';
import { Public } from '../http/auth.decorators.js';
import { SecondFactorController } from '../http/flows/second-factor.controller.js';
import { METHOD } from '../login/assurance.js';
import { methodName, passkeyForm } from './factor-fields.js';
import {
  card,
  checkbox,
  choice,
  field,
  form,
  formOf,
  hidden,
  isTicked,
  notes,
  submit,
  trimmed,
  type Form,
} from './form.js';
import { GuardedAs } from './guarded-as.js';
import { HeldLogins } from './held-logins.js';
import { markup } from './html.js';
import type { PageContent } from './layout.js';
import { PageAnswers } from './page-answers.js';
import { destinationOf } from './page-names.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';

/** The second step of a login. */
@Pages()
export class TwoFactorPages {
  constructor(
    private readonly factors: SecondFactorController,
    private readonly held: HeldLogins,
    private readonly answers: PageAnswers,
    private readonly config: AuthConfig,
  ) {}

  @Public()
  @Get('p/two-factor')
  showTwoFactor(@Req() request: AuthRequest, @Res() response: object, @Query() query: Form): unknown {
    const token = this.held.tokenOf(request);
    if (token === undefined) return this.answers.goTo(response, 'sign-in?again');
    return this.answers.show(response, this.page(token, query));
  }

  @Post('p/two-factor')
  @GuardedAs(SecondFactorController, 'verifySecondFactor')
  verify(@Req() request: AuthRequest, @Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    const token = this.held.tokenOf(request) ?? '';
    return this.answers.submit(
      response,
      async () => {
        const { chosen: method, code } = sent;
        const trustBrowser = isTicked(sent['trust']) || undefined;
        await this.factors.verifySecondFactor(request, response, { token, method, code: trimmed(code), trustBrowser });
        this.held.forget(response);
        return destinationOf(sent['next']);
      },
      (problem) => this.page(token, sent, problem),
    );
  }

  @Post('p/two-factor-send')
  @GuardedAs(SecondFactorController, 'sendSecondFactor')
  send(@Req() request: AuthRequest, @Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    const token = this.held.tokenOf(request) ?? '';
    return this.answers.submit(
      response,
      async () => {
        await this.factors.sendSecondFactor(request, { token, method: sent['chosen'] });
        const query = new URLSearchParams(methodsOf(sent).map((method): [string, string] => ['method', method]));
        query.append('next', destinationOf(sent['next']));
        return `two-factor?sent&${query.toString()}`;
      },
      (problem) => this.page(token, sent, problem),
    );
  }

  private page(token: string, sent: Form, problem?: Problem): PageContent {
    const { texts } = this.answers;
    const next = destinationOf(sent['next']);
    const methods = methodsOf(sent);
    const kept = markup`${hidden('next', next)}${methods.map((method) => hidden('method', method))}`;
    const typedOnes = methods.filter((method) => method !== 'passkey');
    const content = card(
      notes(problem, 'sent' in sent ? texts.codeSent : undefined),
      typedOnes.includes('email-code') &&
        form('two-factor-send', kept, hidden('chosen', 'email-code'), submit(texts.sendCode, 'plain')),
      typedOnes.length > 0 &&
        form(
          'two-factor',
          kept,
          typedOnes.length === 1
            ? hidden('chosen', typedOnes[0]!)
            : choice(
                'chosen',
                texts.method,
                typedOnes.map((method) => [method, methodName(method, texts)] as const),
              ),
          field(
            {
              name: 'code',
              label: typedOnes.length === 1 ? methodName(typedOnes[0]!, texts) : texts.code,
              autocomplete: 'one-time-code',
              isCode: true,
            },
            problem,
          ),
          this.config.flows.twoFactor?.trustedBrowsers !== undefined && checkbox('trust', texts.trustBrowser),
          submit(texts.continue),
        ),
      methods.includes('passkey') && typedOnes.length > 0 && markup`<p class="lk-or">${texts.or}</p>`,
      methods.includes('passkey') && passkeyForm('second', { next, token, texts }),
    );
    return {
      name: 'two-factor',
      title: texts.twoFactor,
      content: markup`${content}
        <nav class="lk-links">
          <p><a href="sign-in">${texts.back}</a></p>
        </nav>`,
    };
  }
}

/** Those that the first step has named. Whoever writes others into the address is refused at the second one. */
function methodsOf(sent: Form): string[] {
  return [sent['method']]
    .flat()
    .filter((method): method is string => typeof method === 'string' && METHOD.test(method));
}
