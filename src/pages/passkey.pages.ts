import { Body, Get, Post, Query, Req, Res } from '@nestjs/common';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentSession, CurrentUser } from '../http/auth.decorators.js';
import { PasskeyController } from '../http/flows/passkey.controller.js';
import type { PasskeyAnswer } from '../http/passkey-answers.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { dateIn } from './dates.js';
import { asText, field, form, formOf, notes, removable, section, submit, typed, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { markup, type Html } from './html.js';
import type { PageContent } from './layout.js';
import { PageAnswers } from './page-answers.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';
import { withValues } from './with-values.js';

/** A new name that was refused, as it was sent. */
interface RefusedName {
  readonly id: string;
  readonly sent: Form;
  readonly problem: Problem;
}

/** `flows.passkeys`: those of the user. Only a script can add one. */
@Pages()
export class PasskeyPages {
  constructor(
    private readonly passkeys: PasskeyController,
    private readonly answers: PageAnswers,
  ) {}

  @Get('p/passkeys')
  @GuardedAs(PasskeyController, 'listPasskeys')
  async showPasskeys(
    @CurrentUser('id') userId: string,
    @Res() response: object,
    @Query() query: Form,
  ): Promise<unknown> {
    const { texts } = this.answers;
    const done = 'removed' in query ? texts.passkeyRemoved : 'renamed' in query ? texts.passkeyRenamed : undefined;
    return this.answers.show(response, await this.page(userId, { done }));
  }

  @Post('p/passkeys-rename')
  @GuardedAs(PasskeyController, 'renamePasskey')
  renamePasskey(
    @CurrentUser('id') userId: string,
    @Res() response: object,
    @Query('id') query: unknown,
    @Body() body: unknown,
  ): Promise<unknown> {
    const id = asText(query);
    const sent = formOf(body);
    return this.answers.submit(
      response,
      async () => {
        await this.passkeys.renamePasskey(userId, id, { name: sent['name'] });
        return 'passkeys?renamed';
      },
      (problem) => this.page(userId, { refused: { id, sent, problem } }),
    );
  }

  @Post('p/passkeys-remove')
  @GuardedAs(PasskeyController, 'removePasskey')
  async removePasskey(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query('id') id: unknown,
  ): Promise<unknown> {
    await this.passkeys.removePasskey(user, session, request, response, asText(id));
    return this.answers.goTo(response, 'passkeys?removed');
  }

  private async page(
    userId: string,
    { done, refused }: { done?: string | undefined; refused?: RefusedName },
  ): Promise<PageContent> {
    const passkeys = await this.passkeys.listPasskeys(userId);
    const { texts } = this.answers;
    const content = markup`${notes(refused?.problem, done)}
      ${section(
        texts.passkeys,
        markup`<p>${texts.passkeyHint}</p>`,
        passkeys.length === 0
          ? markup`<p class="lk-quiet">${texts.noPasskeys}</p>`
          : markup`<ul class="lk-list">
              ${passkeys.map((passkey) => this.item(passkey, refused))}
            </ul>`,
      )}
      ${section(
        texts.addPasskey,
        markup`<form
            method="post"
            action="passkeys"
            data-passkey="create"
            data-next="passkeys"
            data-failed="${texts.passkeyFailed}"
            data-needs-passkeys
            hidden
          >
            ${field({ name: 'name', label: texts.passkeyName, autocomplete: 'off', maxLength: 100 })}
            ${submit(texts.addPasskey)}
          </form>
          <p class="lk-quiet" data-without-passkeys>${texts.passkeyNoScript}</p>`,
      )}
      <nav class="lk-links">
        <p><a href="account">${texts.account}</a></p>
      </nav>`;
    return { name: 'passkeys', title: texts.passkeys, content, isWide: true };
  }

  private item({ id, name, createdAt }: PasskeyAnswer, refused: RefusedName | undefined): Html {
    const { texts } = this.answers;
    const again = refused?.id === id ? refused : undefined;
    return removable(
      { page: 'passkeys-remove', id, name },
      texts,
      markup`<strong><bdi>${name}</bdi></strong>
        <div class="lk-quiet">${withValues(texts.created, { when: dateIn(createdAt, texts) })}</div>
        <details ${again && markup` open`}>
          <summary aria-label="${withValues(texts.renameNamed, { name })}">${texts.rename}</summary>
          ${form(
            `passkeys-rename?id=${encodeURIComponent(id)}`,
            field(
              {
                id: `name-${id}`,
                name: 'name',
                label: texts.passkeyName,
                autocomplete: 'off',
                maxLength: 100,
                value: again ? typed(again.sent, 'name') : name,
              },
              again?.problem,
            ),
            submit(texts.save, 'plain'),
          )}
        </details>`,
    );
  }
}
