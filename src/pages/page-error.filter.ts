import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AuthError } from '../auth.errors.js';
import { SampledLogger } from '../common/sampled-logger.js';
import { AuthConfig } from '../config/auth-config.js';
import type { AuthRequest } from '../http/auth-request.js';
import { card, notes } from './form.js';
import { markup } from './html.js';
import { PageAnswers } from './page-answers.js';
import { pageOf, withNext } from './page-names.js';
import { problemOf } from './page-problem.js';

/**
 * What a page answers where no form can be shown again: who is not signed in goes to sign in and comes back, who has to
 * prove more does that first, and everybody else is told in a sentence. An outage is a page of 503, and no cookie goes.
 */
@Catch(AuthError)
export class PageErrorFilter implements ExceptionFilter<AuthError> {
  private readonly logger = new SampledLogger();

  constructor(
    private readonly answers: PageAnswers,
    private readonly adapterHost: HttpAdapterHost,
    private readonly config: AuthConfig,
  ) {}

  catch(error: AuthError, host: ArgumentsHost): unknown {
    const status = error.getStatus();
    const { cause } = error;
    const why = cause instanceof Error ? ` (cause: ${cause.message})` : '';
    if (status >= 500) this.logger.error(`${error.code}: ${error.message}${why}`);
    const response = host.switchToHttp().getResponse<object>();
    if (this.adapterHost.httpAdapter.isHeadersSent(response)) return undefined;
    const page = pageOf(lastPartOf(host.switchToHttp().getRequest<AuthRequest>()));
    if (error.code === 'STEP_UP_REQUIRED') {
      return this.answers.goTo(
        response,
        withNext(this.config.flows.stepUp?.routes ? 'step-up' : 'sign-in?again', page),
      );
    }
    // The others of 401 belong to forms.
    if (status === 401) return this.answers.goTo(response, withNext('sign-in?again', page));
    this.answers.refuse(response, error);
    const { texts } = this.answers;
    const content = card(notes(problemOf(error, texts)), markup`<p><a href="account">${texts.account}</a></p>`);
    return this.answers.show(response, { name: 'error', title: texts.errorTitle, content }, status);
  }
}

function lastPartOf({ url = '' }: AuthRequest): string {
  return url.split(/[?#]/, 1)[0]!.split('/').at(-1)!;
}
