import { Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AuthError, isAuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { documentOf, type PageContent, type PageDesign } from './layout.js';
import { problemOf, type Problem } from './page-problem.js';
import type { PageTexts } from './page-texts.js';

/**
 * Of every page. Nothing but our own files runs, nothing is loaded from elsewhere, no site can frame it, and a form is
 * sent to us alone (OWASP ASVS 3.4). The referrer goes to our own pages only: with `no-referrer` a browser would also say
 * `Origin: null` of our own forms (Fetch, "append a request Origin header"), which looks like a foreign page.
 */
const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'Referrer-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

/** Answers with pages, whichever adapter the response belongs to. */
@Injectable()
export class PageAnswers {
  readonly design: PageDesign;

  constructor(
    private readonly adapterHost: HttpAdapterHost,
    config: AuthConfig,
  ) {
    this.design = config.flows.pages as PageDesign;
  }

  get texts(): Readonly<PageTexts> {
    return this.design.texts;
  }

  show(response: object, page: PageContent, status = 200): unknown {
    const adapter = this.adapterHost.httpAdapter;
    for (const [name, value] of Object.entries(PAGE_HEADERS)) adapter.setHeader(response, name, value);
    return adapter.reply(response, documentOf(page, this.design), status);
  }

  /** To a page beside this one, or to a path of the application. With 303, so that a reload repeats no form. */
  goTo(response: object, location: string): unknown {
    this.adapterHost.httpAdapter.setHeader(response, 'Cache-Control', 'no-store');
    return this.adapterHost.httpAdapter.redirect(response, 303, location);
  }

  /** An answer that is no page. */
  reply(response: object, headers: Readonly<Record<string, string>>, text: string, status: number): unknown {
    for (const [name, value] of Object.entries(headers)) this.adapterHost.httpAdapter.setHeader(response, name, value);
    return this.adapterHost.httpAdapter.reply(response, text, status);
  }

  /**
   * Does what a form asks for, and goes where `work` says, or shows what is shown only once. If it is refused for what was
   * typed, the form is shown again; all else, an outage among it, is for the filter.
   */
  async submit(
    response: object,
    work: () => Promise<string | PageContent>,
    again: (problem: Problem, error: AuthError) => PageContent | Promise<PageContent>,
  ): Promise<unknown> {
    let done: string | PageContent;
    try {
      done = await work();
    } catch (error) {
      if (!(error instanceof AuthError) || !isOfForm(error)) throw error;
      const page = await again(problemOf(error, this.texts), error);
      this.refuse(response, error);
      return this.show(response, page, error.getStatus());
    }
    return typeof done === 'string' ? this.goTo(response, done) : this.show(response, done);
  }

  /** The headers that belong to the status of this error (RFC 9110, 15.5.2 and 10.2.3). */
  refuse(response: object, error: AuthError): void {
    const adapter = this.adapterHost.httpAdapter;
    if (error.getStatus() === 401) adapter.setHeader(response, 'WWW-Authenticate', 'Bearer');
    if (isAuthError(error, 'RATE_LIMITED') || isAuthError(error, 'HASHER_OVERLOADED')) {
      adapter.setHeader(response, 'Retry-After', String(error.facts.retryAfter));
    }
  }
}

const NOT_OF_FORMS: ReadonlySet<string> = new Set<AuthError['code']>([
  'UNAUTHENTICATED',
  'STEP_UP_REQUIRED',
  'CROSS_ORIGIN_REQUEST',
  'INVALID_TOKEN',
  'TOKEN_REVOKED',
  'ACCOUNT_INACTIVE',
  'TOKENS_INVALIDATED',
]);

const isOfForm = (error: AuthError): boolean => error.getStatus() < 500 && !NOT_OF_FORMS.has(error.code);
