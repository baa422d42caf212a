import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { expired } from '../oidc/oidc-requests.js';
import { headerOf, requestOf } from './auth-request.js';
import { FlowCookie } from './flow-cookie.js';
import { OIDC_FLOW } from './oidc-redirects.js';

/**
 * Refuses the callback of a browser that has begun no login at a provider: without its cookie no state counts. That asks
 * no storage and is no failed login, so it is neither counted nor recorded: the pages of a stranger, which can make any
 * browser ask for this address but not send the cookie along, use up nobody's limit.
 */
@Injectable()
export class OidcBegunGuard implements CanActivate {
  constructor(private readonly cookie: FlowCookie) {}

  /** @throws {AuthError} `LOGIN_EXPIRED` */
  canActivate(context: ExecutionContext): boolean {
    const request = requestOf(context);
    if (request && this.cookie.values(OIDC_FLOW, headerOf(request, 'cookie')).length > 0) return true;
    throw expired();
  }
}
