import { Injectable } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { AuthRequest } from '../http/auth-request.js';
import { OidcController } from '../http/flows/oidc.controller.js';
import { OidcRedirects } from '../http/oidc-redirects.js';
import { pathOfHandler } from '../http/own-address.js';
import type { OidcStart } from '../oidc/oidc.service.js';
import type { StartedOidc } from '../oidc/oidc-requests.js';
import { AssetPages } from './asset.pages.js';
import { card } from './form.js';
import { markup } from './html.js';
import { PageAnswers } from './page-answers.js';
import { destinationOf } from './page-names.js';

/** The way from a form to a provider. */
@Injectable()
export class ProviderRedirects {
  constructor(
    private readonly redirects: OidcRedirects,
    private readonly answers: PageAnswers,
    private readonly modules: ModulesContainer,
  ) {}

  /** Where the provider sends the browser back to, and where that leads on: a page of ours by its path. */
  startOf(provider: string, next: unknown): OidcStart {
    // Without a fragment: there a page reads what has come of the login.
    const to = destinationOf(next).split('#', 1)[0]!;
    const stylesheet = pathOfHandler(this.modules, AssetPages, 'stylesheet')!;
    const returnTo = to.startsWith('/') ? to : stylesheet.replace(/[^/]*$/, () => to);
    return { returnTo, redirectUri: this.redirects.callback(OidcController, provider) };
  }

  /**
   * A page that goes there by itself, with a link for who has turned that off. A redirect would be one of the form, to
   * which `form-action` applies in Chromium and WebKit (w3c/webappsec-csp#8), at every further step at the provider too:
   * these cannot be known, so the policy would have to allow any address.
   */
  leave(request: AuthRequest, response: object, started: StartedOidc): unknown {
    const { texts } = this.answers;
    const url = this.redirects.hold(request, response, started);
    const content = card(markup`<p><a href="${url}">${texts.goToProvider}</a></p>`);
    return this.answers.show(response, { name: 'leave', title: texts.leaving, content, leadsTo: url });
  }
}
