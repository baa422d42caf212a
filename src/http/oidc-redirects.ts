import { Injectable, type Type } from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { AuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import type { StartedOidc } from '../oidc/oidc-requests.js';
import { authOf, headerOf, type AuthRequest } from './auth-request.js';
import { CookieWriter } from './cookie-writer.js';
import { FlowCookie } from './flow-cookie.js';
import { pathOfHandler } from './own-address.js';

/** The flow of the cookie that ties a login at a provider to its browser. */
export const OIDC_FLOW = 'oidc';

/** The way of a browser to a provider. */
@Injectable()
export class OidcRedirects {
  constructor(
    private readonly cookie: FlowCookie,
    private readonly writer: CookieWriter,
    private readonly modules: ModulesContainer,
    private readonly adapterHost: HttpAdapterHost,
    private readonly config: AuthConfig,
  ) {}

  /** The address of the handler `oidcCallback` of this controller, as it is registered at the provider. */
  callback(controller: Type, provider: string): string {
    const path = pathOfHandler(this.modules, controller, 'oidcCallback') ?? '';
    return new URL(
      path.replace(':provider', () => encodeURIComponent(provider)),
      this.config.baseUrl,
    ).href;
  }

  /**
   * For what is finished in the session that has begun it: the browser comes back with its cookies alone.
   *
   * @throws {AuthError} `INVALID_INPUT` for a session by a bearer token.
   */
  requireCookie(request: AuthRequest): void {
    if (authOf(request)?.transport !== 'bearer') return;
    const expected = 'must be the session cookie: the browser comes back from the provider without a bearer token';
    throw new AuthError('INVALID_INPUT', `The session ${expected}.`, { fields: { session: expected } });
  }

  /** A form is sent there (303), a script gets the address. */
  leave(request: AuthRequest, response: object, started: StartedOidc): void {
    this.show(request, response, this.hold(request, response, started));
  }

  /** Ties the browser to the answer. Where it goes then. */
  hold(request: AuthRequest, response: object, { url, browser }: StartedOidc): string {
    this.writer.add(response, this.cookie.add(OIDC_FLOW, browser, headerOf(request, 'cookie')));
    return url;
  }

  /** As `leave`, with nothing that ties the browser to an answer. */
  show(request: AuthRequest, response: object, url: string): void {
    if (headerOf(request, 'accept')?.includes('text/html')) this.redirect(response, url);
    else this.adapterHost.httpAdapter.reply(response, { url }, 200);
  }

  redirect(response: object, url: string): void {
    this.adapterHost.httpAdapter.redirect(response, 303, url);
  }
}
