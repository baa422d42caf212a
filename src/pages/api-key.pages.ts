import { Body, Get, Post, Query, Req, Res } from '@nestjs/common';
import { Scopes } from '../api-key/scopes.js';
import { AuthConfig } from '../config/auth-config.js';
import type { ApiKeyAnswer } from '../http/answers.js';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentSession, CurrentUser } from '../http/auth.decorators.js';
import { ApiKeyController } from '../http/flows/api-key.controller.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { dateIn } from './dates.js';
import { asText, checkbox, field, form, formOf, notes, removable, section, submit, typed, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { markup, type Html } from './html.js';
import type { PageContent } from './layout.js';
import { PageAnswers } from './page-answers.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';
import { withValues } from './with-values.js';

const DAYS = 90;
const SECONDS_A_DAY = 86_400;

/** `flows.apiKeys`: those of the user. A new one is shown by the answer that made it, and by no other. */
@Pages()
export class ApiKeyPages {
  constructor(
    private readonly apiKeys: ApiKeyController,
    private readonly answers: PageAnswers,
    private readonly config: AuthConfig,
  ) {}

  @Get('p/api-keys')
  @GuardedAs(ApiKeyController, 'listApiKeys')
  async showApiKeys(@CurrentUser() user: AuthUser, @Res() response: object, @Query() query: Form): Promise<unknown> {
    return this.answers.show(response, await this.page(user, {}, { isRevoked: 'revoked' in query }));
  }

  @Post('p/api-keys')
  @GuardedAs(ApiKeyController, 'createApiKey')
  createApiKey(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Body() body: unknown,
  ): Promise<unknown> {
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        const { name, days, scopes = [] } = sent;
        const wanted = { name, scopes: [scopes].flat(), expiresIn: Number(asText(days)) * SECONDS_A_DAY };
        return this.made((await this.apiKeys.createApiKey(user, session, request, wanted)).key);
      },
      ({ summary, fields: { expiresIn, ...fields } }) =>
        this.page(user, sent, {
          problem: { summary, fields: expiresIn === undefined ? fields : { ...fields, days: expiresIn } },
        }),
    );
  }

  @Post('p/api-keys-revoke')
  @GuardedAs(ApiKeyController, 'revokeApiKey')
  async revokeApiKey(
    @CurrentUser() user: AuthUser,
    @Res() response: object,
    @Query('id') id: unknown,
  ): Promise<unknown> {
    await this.apiKeys.revokeApiKey(user, asText(id));
    return this.answers.goTo(response, 'api-keys?revoked');
  }

  private made(key: string): PageContent {
    const { texts } = this.answers;
    const content = markup`${notes(undefined, texts.newApiKey)}
      ${section(
        texts.apiKeys,
        markup`<p class="lk-secret" id="lk-key">${key}</p>
          <button type="button" data-copy="#lk-key" data-copied="${texts.copied}" hidden>${texts.copy}</button>`,
      )}
      <nav class="lk-links">
        <p><a href="api-keys">${texts.continue}</a></p>
      </nav>`;
    return { name: 'api-keys', title: texts.apiKeys, content };
  }

  private async page(
    user: AuthUser,
    sent: Form,
    { problem, isRevoked = false }: { problem?: Problem; isRevoked?: boolean },
  ): Promise<PageContent> {
    const { texts } = this.answers;
    const keys = await this.apiKeys.listApiKeys(user);
    const content = markup`${notes(problem, isRevoked ? texts.apiKeyRevoked : undefined)}
      ${section(
        texts.apiKeys,
        markup`<p>${texts.apiKeyHint}</p>`,
        keys.length === 0
          ? markup`<p class="lk-quiet">${texts.noApiKeys}</p>`
          : markup`<ul class="lk-list">
              ${keys.map((key) => this.item(key))}
            </ul>`,
      )}
      ${section(
        texts.addApiKey,
        form(
          'api-keys',
          field(
            {
              name: 'name',
              label: texts.apiKeyName,
              autocomplete: 'off',
              maxLength: 100,
              value: typed(sent, 'name'),
            },
            problem,
          ),
          markup`<fieldset>
            <legend class="lk-legend">${texts.apiKeyScopes}</legend>
            ${this.scopesOf(user).map((scope) =>
              checkbox('scopes', scope, { value: scope, isChecked: [sent['scopes']].flat().includes(scope) }),
            )}
            ${problem?.fields['scopes'] !== undefined && markup`<p class="lk-error">${problem.fields['scopes']}</p>`}
          </fieldset>`,
          field(
            {
              name: 'days',
              label: texts.apiKeyDays,
              type: 'number',
              autocomplete: 'off',
              value: typed(sent, 'days') || String(DAYS),
            },
            problem,
          ),
          submit(texts.addApiKey),
        ),
      )}
      <nav class="lk-links">
        <p><a href="account">${texts.account}</a></p>
      </nav>`;
    return { name: 'api-keys', title: texts.apiKeys, content, isWide: true };
  }

  /** Those that this user may have now. */
  private scopesOf(user: AuthUser): string[] {
    const scopes = new Scopes(this.config.flows.apiKeys?.scopes ?? []);
    return scopes.names.filter((scope) => scopes.allows(user, scope));
  }

  private item({ id, name, prefix, scopes, expiresAt }: ApiKeyAnswer): Html {
    const { texts } = this.answers;
    return removable(
      { page: 'api-keys-revoke', id, name },
      texts,
      markup`<strong><bdi>${name}</bdi></strong> <span class="lk-secret">${prefix}…</span>
        <div class="lk-quiet">
          ${scopes.join(', ')} · ${withValues(texts.expires, { when: dateIn(expiresAt, texts) })}
        </div>`,
    );
  }
}
