import { Catch, Injectable, type ArgumentsHost } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AuthError, isAuthError, type AuthErrorCode } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { AuthErrorFilter } from './auth-error.filter.js';
import { headerOf, type AuthRequest } from './auth-request.js';
import { OidcEnds } from './oidc-ends.js';

/** What a page may be told. Anything else is an error like any other, such as a storage that does not answer. */
const TOLD: ReadonlySet<AuthErrorCode> = new Set<AuthErrorCode>([
  'LOGIN_EXPIRED',
  'PROVIDER_REFUSED',
  'PROVIDER_FAILED',
  'ACCOUNT_EXISTS',
  'NO_ACCOUNT',
  'EMAIL_NOT_VERIFIED',
  'IDENTITY_IN_USE',
  'INVALID_CREDENTIALS',
  'STEP_UP_REQUIRED',
  'UNAUTHENTICATED',
]);

/**
 * Sends a browser that has come back from a provider to the page for it, whatever has failed. Only a client that asks for
 * no page is answered 429 itself.
 */
@Injectable()
@Catch(AuthError)
export class OidcCallbackFilter extends AuthErrorFilter {
  constructor(
    private readonly adapters: HttpAdapterHost,
    config: AuthConfig,
    private readonly ends: OidcEnds,
  ) {
    super(adapters, config);
  }

  override catch(error: AuthError, host: ArgumentsHost): unknown {
    const http = host.switchToHttp();
    const request = http.getRequest<AuthRequest>();
    const { httpAdapter } = this.adapters;
    const isLimit = isAuthError(error, 'RATE_LIMITED') && asksForPage(request);
    if (!isLimit && !TOLD.has(error.code)) return super.catch(error, host);
    const response = http.getResponse<object>();
    if (isLimit) httpAdapter.setHeader(response, 'Retry-After', String(error.facts.retryAfter));
    httpAdapter.setHeader(response, 'Cache-Control', 'no-store');
    httpAdapter.setHeader(response, 'Referrer-Policy', 'no-referrer');
    return httpAdapter.redirect(response, 303, this.ends.failed(request, error.code));
  }
}

const asksForPage = (request: AuthRequest): boolean => headerOf(request, 'accept')?.includes('text/html') === true;
