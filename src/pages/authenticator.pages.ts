import { Get, Post, Query, Body, Req, Res } from '@nestjs/common';
import { AuthConfig } from '../config/auth-config.js';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentSession, CurrentUser, Public } from '../http/auth.decorators.js';
import type { TotpSetupAnswer } from '../http/answers.js';
import { TrustedBrowserController } from '../http/flows/trusted-browser.controller.js';
import { TwoFactorController } from '../http/flows/two-factor.controller.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { card, field, form, formOf, hidden, notes, section, submit, trimmed, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { HeldLogins } from './held-logins.js';
import { markup } from './html.js';
import type { PageContent } from './layout.js';
import { PageAnswers } from './page-answers.js';
import { destinationOf } from './page-names.js';
import type { Problem } from './page-problem.js';
import { Pages } from './pages.decorator.js';
import { withValues } from './with-values.js';

/**
 * `flows.twoFactor`: the authenticator app and its backup codes, the browsers that are trusted, and the enrolment that a
 * login can require.
 */
@Pages()
export class AuthenticatorPages {
  constructor(
    private readonly factors: TwoFactorController,
    private readonly browsers: TrustedBrowserController,
    private readonly held: HeldLogins,
    private readonly answers: PageAnswers,
    private readonly config: AuthConfig,
  ) {}

  @Get('p/authenticator')
  @GuardedAs(TwoFactorController, 'twoFactorState')
  async showAuthenticator(
    @CurrentUser() user: AuthUser,
    @Res() response: object,
    @Query() query: Form,
  ): Promise<unknown> {
    const { texts } = this.answers;
    const { twoFactor } = this.config.flows;
    const { methods, backupCodesLeft, trustedBrowsers } = await this.factors.twoFactorState(user);
    const isOn = methods.includes('totp');
    const content = markup`${notes(undefined, 'forgotten' in query ? texts.browsersForgotten : undefined)}
      ${
        twoFactor?.totp &&
        section(
          texts.authenticator,
          markup`<p>${isOn ? texts.authenticatorOn : texts.authenticatorOff}</p>`,
          isOn
            ? form('authenticator-off', submit(texts.turnOff, 'danger'))
            : form('authenticator', submit(texts.setUp, 'plain')),
        )
      }
      ${
        isOn &&
        twoFactor?.backupCodes &&
        section(
          texts.backupCodes,
          markup`<p>${withValues(texts.backupCodesLeft, { count: String(backupCodesLeft) })} ${texts.backupCodesVoid}</p>`,
          form('backup-codes', submit(texts.backupCodesNew, 'plain')),
        )
      }
      ${
        twoFactor?.trustedBrowsers !== undefined &&
        section(
          texts.trustedBrowsers,
          markup`<p>${withValues(texts.trustedBrowserCount, { count: String(trustedBrowsers) })}</p>`,
          trustedBrowsers > 0 && form('authenticator-forget-browsers', submit(texts.forgetBrowsers, 'plain')),
        )
      }
      <nav class="lk-links">
        <p><a href="account">${texts.account}</a></p>
      </nav>`;
    return this.answers.show(response, { name: 'authenticator', title: texts.security, content });
  }

  @Post('p/authenticator-forget-browsers')
  @GuardedAs(TrustedBrowserController, 'forgetTrustedBrowsers')
  async forgetBrowsers(@CurrentUser('id') userId: string, @Res() response: object): Promise<unknown> {
    await this.browsers.forgetTrustedBrowsers(userId, response);
    return this.answers.goTo(response, 'authenticator?forgotten');
  }

  /** The answer itself shows the secret, this once: nothing keeps it for another page. */
  @Post('p/authenticator')
  @GuardedAs(TwoFactorController, 'setUpTotp')
  async setUp(
    @CurrentSession() session: Session | undefined,
    @Req() request: AuthRequest,
    @Res() response: object,
  ): Promise<unknown> {
    const setup = await this.factors.setUpTotp(session, request, {});
    return this.answers.show(response, this.proving('authenticator-on', { setup }));
  }

  @Post('p/authenticator-on')
  @GuardedAs(TwoFactorController, 'enableTotp')
  turnOn(
    @CurrentSession() session: Session | undefined,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Body() body: unknown,
  ): Promise<unknown> {
    const code = trimmed(formOf(body)['code']);
    return this.answers.submit(
      response,
      async () => {
        const { backupCodes } = await this.factors.enableTotp(session, request, response, { code });
        return this.codes(backupCodes, 'authenticator');
      },
      (problem) => this.proving('authenticator-on', { problem }),
    );
  }

  @Post('p/authenticator-off')
  @GuardedAs(TwoFactorController, 'disableTotp')
  async turnOff(
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
  ): Promise<unknown> {
    await this.factors.disableTotp(session, request, response, {});
    return this.answers.goTo(response, 'account?factor');
  }

  /** Where a proof that was asked for leads back to. */
  @Get('p/backup-codes')
  @GuardedAs(TwoFactorController, 'twoFactorState')
  showBackupCodes(@Res() response: object): unknown {
    return this.answers.goTo(response, 'authenticator');
  }

  @Post('p/backup-codes')
  @GuardedAs(TwoFactorController, 'regenerateBackupCodes')
  async newBackupCodes(
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
  ): Promise<unknown> {
    const { backupCodes } = await this.factors.regenerateBackupCodes(session, request, response, {});
    return this.answers.show(response, this.codes(backupCodes, 'authenticator'));
  }

  /** Somebody whose login must enrol a factor. */
  @Public()
  @Get('p/enrol')
  showEnrolment(@Req() request: AuthRequest, @Res() response: object, @Query() query: Form): unknown {
    if (this.held.tokenOf(request) === undefined) return this.answers.goTo(response, 'sign-in?again');
    const { texts } = this.answers;
    const content = card(
      markup`<p>${texts.setUpRequired}</p>`,
      form('enrol', hidden('next', destinationOf(query['next'])), submit(texts.setUp)),
    );
    return this.answers.show(response, { name: 'enrol', title: texts.authenticator, content });
  }

  @Post('p/enrol')
  @GuardedAs(TwoFactorController, 'setUpTotp')
  enrol(@Req() request: AuthRequest, @Res() response: object, @Body() body: unknown): Promise<unknown> {
    const next = destinationOf(formOf(body)['next']);
    return this.answers.submit(
      response,
      async () => {
        const token = this.held.tokenOf(request) ?? '-';
        return this.proving('enrol-on', { next, setup: await this.factors.setUpTotp(undefined, request, { token }) });
      },
      (problem) => this.proving('enrol-on', { next, problem }),
    );
  }

  @Post('p/enrol-on')
  @GuardedAs(TwoFactorController, 'enableTotp')
  completeEnrolment(@Req() request: AuthRequest, @Res() response: object, @Body() body: unknown): Promise<unknown> {
    const sent = formOf(body);
    const next = destinationOf(sent['next']);
    return this.answers.submit(
      response,
      async () => {
        const proof = { token: this.held.tokenOf(request) ?? '-', code: trimmed(sent['code']) };
        const { backupCodes } = await this.factors.enableTotp(undefined, request, response, proof);
        this.held.forget(response);
        return this.codes(backupCodes, next);
      },
      (problem) => this.proving('enrol-on', { next, problem }),
    );
  }

  private proving(
    action: string,
    { setup, problem, next }: { setup?: TotpSetupAnswer; problem?: Problem; next?: string },
  ): PageContent {
    const { texts } = this.answers;
    const picture = setup && `data:image/svg+xml;base64,${Buffer.from(setup.qr).toString('base64')}`;
    const content = markup`${card(
      notes(problem),
      setup &&
        markup`<p>${texts.setUpHint}</p>
            <img class="lk-qr" src="${picture}" alt="${texts.qr}" width="224" height="224" />
            <p class="lk-secret">${withValues(texts.setUpKey, { key: setup.secret })}</p>`,
      form(
        action,
        next !== undefined && hidden('next', next),
        field({ name: 'code', label: texts.code, autocomplete: 'one-time-code', isCode: true }, problem),
        submit(texts.turnOn),
      ),
    )}
      <nav class="lk-links">
        <p><a href="account">${texts.cancel}</a></p>
      </nav>`;
    return { name: 'authenticator', title: texts.authenticator, content };
  }

  private codes(codes: readonly string[], next: string): PageContent {
    const { texts } = this.answers;
    const content = markup`${notes(undefined, codes.length === 0 ? texts.authenticatorOn : undefined)}
      ${
        codes.length > 0 &&
        card(
          markup`<p>${texts.backupCodesHint}</p>
            <ul class="lk-codes" id="lk-codes">
              ${codes.map((code) => markup`<li>${code}</li>`)}
            </ul>
            <button type="button" data-copy="#lk-codes" data-copied="${texts.copied}" hidden>${texts.copy}</button>`,
        )
      }
      <nav class="lk-links">
        <p><a href="${next}">${texts.continue}</a></p>
      </nav>`;
    return { name: 'backup-codes', title: codes.length > 0 ? texts.backupCodes : texts.authenticator, content };
  }
}
