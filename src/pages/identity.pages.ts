import { Body, Get, Post, Query, Req, Res } from '@nestjs/common';
import { isAuthError } from '../auth.errors.js';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentSession, CurrentUser } from '../http/auth.decorators.js';
import { KeptIdentityController } from '../http/flows/kept-identity.controller.js';
import { OidcController } from '../http/flows/oidc.controller.js';
import type { IdentityAnswer, KeptIdentityListAnswer } from '../http/oidc-answers.js';
import { OidcService } from '../oidc/oidc.service.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { dateIn } from './dates.js';
import { asText, form, formOf, isTicked, notes, removable, section, submit, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { markup, type Html } from './html.js';
import { PageAnswers } from './page-answers.js';
import { Pages } from './pages.decorator.js';
import { ProviderRedirects } from './provider-redirects.js';
import { providerProblem } from './provider-errors.js';
import { withValues } from './with-values.js';

/** `flows.oidc`: the login at a provider, and the identities of the user. */
@Pages()
export class IdentityPages {
  constructor(
    private readonly identities: OidcController,
    private readonly kept: KeptIdentityController,
    private readonly oidc: OidcService,
    private readonly redirects: ProviderRedirects,
    private readonly answers: PageAnswers,
  ) {}

  @Post('p/provider')
  @GuardedAs(OidcController, 'startOidc')
  async startAtProvider(
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query('id') id: unknown,
    @Body() body: unknown,
  ): Promise<unknown> {
    const provider = asText(id);
    const sent = formOf(body);
    const start = { ...this.redirects.startOf(provider, sent['next']), remember: isTicked(sent['remember']) };
    return this.redirects.leave(request, response, await this.oidc.begin(provider, start));
  }

  @Get('p/identities')
  @GuardedAs(OidcController, 'listIdentities')
  async showIdentities(
    @CurrentUser('id') userId: string,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query() query: Form,
  ): Promise<unknown> {
    const { texts } = this.answers;
    const identities = await this.identities.listIdentities(userId);
    const kept = await this.kept.listKeptIdentities(userId, request);
    const content = markup`${notes(
      providerProblem(query['error'], texts),
      'removed' in query ? texts.identityRemoved : 'linked' in query ? texts.identityLinked : undefined,
    )}
      ${
        kept.length > 0 &&
        section(
          texts.keptIdentities,
          kept.map((identity) => this.offer(identity)),
        )
      }
      ${section(
        texts.identities,
        identities.length === 0
          ? markup`<p class="lk-quiet">${texts.noIdentities}</p>`
          : markup`<ul class="lk-list">
              ${identities.map((identity) => this.item(identity))}
            </ul>`,
      )}
      ${section(
        texts.addIdentity,
        this.identities
          .listProviders()
          .map(({ id, label }) =>
            form(`identities-link?id=${id}`, submit(withValues(texts.linkWith, { provider: label }), 'plain')),
          ),
      )}
      <nav class="lk-links">
        <p><a href="account">${texts.account}</a></p>
      </nav>`;
    return this.answers.show(response, { name: 'identities', title: texts.identities, content, isWide: true });
  }

  @Post('p/identities-link')
  @GuardedAs(OidcController, 'linkOidc')
  async link(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query('id') id: unknown,
  ): Promise<unknown> {
    const provider = asText(id);
    const start = this.redirects.startOf(provider, 'identities');
    return this.redirects.leave(request, response, await this.oidc.beginLink(provider, { user, session }, start));
  }

  @Post('p/identities-link-kept')
  @GuardedAs(KeptIdentityController, 'linkKeptIdentity')
  async linkKept(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query('id') id: unknown,
  ): Promise<unknown> {
    try {
      await this.kept.linkKeptIdentity(user, session, request, response, asText(id));
    } catch (error) {
      // Told on the page of the identities, as what a provider has refused is.
      if (!isAuthError(error, 'LOGIN_EXPIRED') && !isAuthError(error, 'IDENTITY_IN_USE')) throw error;
      return this.answers.goTo(response, `identities?error=${error.code}`);
    }
    return this.answers.goTo(response, 'identities?linked');
  }

  @Post('p/identities-unlink')
  @GuardedAs(OidcController, 'unlinkIdentity')
  async unlink(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query('id') id: unknown,
  ): Promise<unknown> {
    await this.identities.unlinkIdentity(user, session, request, response, asText(id));
    return this.answers.goTo(response, 'identities?removed');
  }

  private offer({ provider, label, email }: KeptIdentityListAnswer[number]): Html {
    const { texts } = this.answers;
    return markup`<p><bdi>${email}</bdi></p>
      ${form(`identities-link-kept?id=${provider}`, submit(withValues(texts.linkWith, { provider: label })))}`;
  }

  private item({ id, label, email, linkedAt }: IdentityAnswer): Html {
    const { texts } = this.answers;
    return removable(
      { page: 'identities-unlink', id, name: label },
      texts,
      markup`<strong><bdi>${label}</bdi></strong>
        <div class="lk-quiet">
          ${email !== null && markup`<bdi>${email}</bdi> · `}${withValues(texts.created, { when: dateIn(linkedAt, texts) })}
        </div>`,
    );
  }
}
