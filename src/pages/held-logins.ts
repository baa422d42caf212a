import { Injectable } from '@nestjs/common';
import type { LoginAnswer, PendingAnswer } from '../http/answers.js';
import { headerOf, type AuthRequest } from '../http/auth-request.js';
import { CookieWriter } from '../http/cookie-writer.js';
import { FlowCookie } from '../http/flow-cookie.js';
import { withNext } from './page-names.js';

const FLOW = 'pages';

/**
 * A login that is held until its second step, between two pages. A client of the JSON routes keeps the token itself; here
 * it is in a cookie of its own beside that of the challenge, so that it stands in no address and no history.
 */
@Injectable()
export class HeldLogins {
  constructor(
    private readonly cookie: FlowCookie,
    private readonly writer: CookieWriter,
  ) {}

  /** Where the first step leads: on, or to the second one. */
  goOn(request: AuthRequest, response: object, answer: LoginAnswer | PendingAnswer, next: string): string {
    if (answer.status === 'authenticated') return next;
    const { token: value, expiresAt } = answer;
    const held = { value, expiresAt: Date.parse(expiresAt) };
    this.writer.add(response, this.cookie.add(FLOW, held, headerOf(request, 'cookie')));
    if (answer.status === 'enrolment_required') return withNext('enrol', next);
    const methods = answer.methods.map((method) => `method=${encodeURIComponent(method)}`).join('&');
    return withNext(`two-factor?${methods}`, next);
  }

  /** The token of the latest one of this browser, if there is one. */
  tokenOf(request: AuthRequest): string | undefined {
    return this.cookie.values(FLOW, headerOf(request, 'cookie'))[0];
  }

  /** Once it has been completed. */
  forget(response: object): void {
    this.writer.add(response, this.cookie.clear(FLOW));
  }
}
