import { Get, Post, Query, Req, Res } from '@nestjs/common';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentSession, CurrentUser } from '../http/auth.decorators.js';
import { PasskeyController } from '../http/flows/passkey.controller.js';
import type { PasskeyAnswer } from '../http/passkey-answers.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { dateIn } from './dates.js';
import { asText, field, notes, removable, section, submit, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { markup, type Html } from './html.js';
import { PageAnswers } from './page-answers.js';
import { Pages } from './pages.decorator.js';
import { withValues } from './with-values.js';

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
    const passkeys = await this.passkeys.listPasskeys(userId);
    const { texts } = this.answers;
    const content = markup`${notes(undefined, 'removed' in query ? texts.passkeyRemoved : undefined)}
      ${section(
        texts.passkeys,
        markup`<p>${texts.passkeyHint}</p>`,
        passkeys.length === 0
          ? markup`<p class="lk-quiet">${texts.noPasskeys}</p>`
          : markup`<ul class="lk-list">
              ${passkeys.map((passkey) => this.item(passkey))}
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
    return this.answers.show(response, { name: 'passkeys', title: texts.passkeys, content, isWide: true });
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

  private item({ id, name, createdAt }: PasskeyAnswer): Html {
    const { texts } = this.answers;
    return removable(
      { page: 'passkeys-remove', id, name },
      texts,
      markup`<strong><bdi>${name}</bdi></strong>
        <div class="lk-quiet">${withValues(texts.created, { when: dateIn(createdAt, texts) })}</div>`,
    );
  }
}
