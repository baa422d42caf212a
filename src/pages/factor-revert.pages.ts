import { Body, Get, Post, Query, Res } from '@nestjs/common';
import { Public } from '../http/auth.decorators.js';
import { FactorRevertController } from '../http/flows/factor-revert.controller.js';
import { formOf, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import type { PageContent } from './layout.js';
import { linkedPage, tokenIn } from './mailed-link.js';
import { PageAnswers } from './page-answers.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';

/** `flows.twoFactor` and `flows.passkeys`: what the link in the mail about the first factor opens. */
@Pages()
export class FactorRevertPages {
  constructor(
    private readonly reverts: FactorRevertController,
    private readonly answers: PageAnswers,
  ) {}

  @Public()
  @Get('p/revert-factor')
  showRevert(@Res() response: object, @Query() query: Form): unknown {
    return this.answers.show(response, this.page(query));
  }

  @Post('p/revert-factor')
  @GuardedAs(FactorRevertController, 'revertFactor')
  revert(@Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        await this.reverts.revertFactor({ token: tokenIn(sent['token']) });
        return 'revert-factor?done';
      },
      (problem) => this.page(sent, problem),
    );
  }

  private page(sent: Form, problem?: Problem): PageContent {
    const { texts } = this.answers;
    const { revertFactor: title, revertFactorHint: hint, revertFactorDone: done } = texts;
    return linkedPage({ name: 'revert-factor', title, hint, done }, sent, texts, problem);
  }
}
