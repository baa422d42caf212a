import { Injectable } from '@nestjs/common';
import type { AuthErrorCode } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { dueAnswer } from '../http/answers.js';
import { authOf, type AuthRequest } from '../http/auth-request.js';
import type { DueSecondFactor } from '../http/started-session.js';
import { OidcEnds } from '../http/oidc-ends.js';
import { HeldLogins } from './held-logins.js';
import { destinationOf, withNext } from './page-names.js';

/** From `oidc/:provider/callback` to the pages. */
const PAGES = '../../p';

/** A login at a provider goes on with our pages, unless the host has its own in `flows.oidc.page`. */
@Injectable()
export class PageOidcEnds extends OidcEnds {
  constructor(
    config: AuthConfig,
    private readonly held: HeldLogins,
  ) {
    super(config);
  }

  override pending(request: AuthRequest, response: object, login: DueSecondFactor, returnTo: string): string {
    if (this.hasOwn) return super.pending(request, response, login, returnTo);
    return `${PAGES}/${this.held.goOn(request, response, dueAnswer(login), returnTo)}`;
  }

  override mailed(request: AuthRequest, returnTo: string): string {
    if (this.hasOwn) return super.mailed(request, returnTo);
    return `${PAGES}/${withNext('confirm?sent', destinationOf(returnTo))}`;
  }

  override failed(request: AuthRequest, code: AuthErrorCode): string {
    if (this.hasOwn) return super.failed(request, code);
    const page = `${PAGES}/${authOf(request) ? 'identities' : 'sign-in'}?error=${code}`;
    // There it is offered to be linked, once its owner has signed in.
    return code === 'ACCOUNT_EXISTS' ? withNext(page, 'identities') : page;
  }

  private get hasOwn(): boolean {
    return this.config.flows.oidc!.page !== undefined;
  }
}
