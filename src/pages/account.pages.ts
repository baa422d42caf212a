import { Get, Post, Query, Req, Res } from '@nestjs/common';
import type { AuditedEvent } from '../audit/audit.store.js';
import { AuthConfig } from '../config/auth-config.js';
import { AuthController } from '../http/auth.controller.js';
import type { SessionAnswer } from '../http/answers.js';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentSession, CurrentUser } from '../http/auth.decorators.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { dateIn } from './dates.js';
import { deviceLabel } from './device-label.js';
import { asText, form, notes, section, submit, type Form } from './form.js';
import { GuardedAs } from './guarded-as.js';
import { markup, type Html } from './html.js';
import type { PageContent } from './layout.js';
import { PageAnswers } from './page-answers.js';
import type { PageTexts } from './page-texts.js';
import { SEERS } from './admin-layout.js';
import { Pages } from './pages.decorator.js';
import { eventName, RecentEvents } from './recent-events.js';
import { withValues } from './with-values.js';

/** The user's own page: who is signed in and where, and the way to everything that can be changed. */
@Pages()
export class AccountPages {
  constructor(
    private readonly auth: AuthController,
    private readonly answers: PageAnswers,
    private readonly config: AuthConfig,
    private readonly events: RecentEvents,
  ) {}

  @GuardedAs(AuthController, 'list')
  @Get('p/account')
  async showAccount(
    @CurrentUser() user: AuthUser,
    @CurrentSession() current: Session,
    @Res() response: object,
    @Query() query: Form,
  ): Promise<unknown> {
    const [devices, events] = await Promise.all([this.auth.list(user, current), this.events.of(user.id)]);
    const { texts } = this.answers;
    const done = Object.keys(query).find((key) => Object.hasOwn(DONE, key)) as keyof typeof DONE | undefined;
    return this.answers.show(response, this.page({ user, devices, events }, done && texts[DONE[done]]));
  }

  @Post('p/end-session')
  @GuardedAs(AuthController, 'revoke')
  async endSession(
    @CurrentUser('id') userId: string,
    @CurrentSession() current: Session,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query('handle') handle: unknown,
  ): Promise<unknown> {
    const named = asText(handle);
    await this.auth.revoke(userId, current, named, request, response);
    return this.answers.goTo(response, named === current.handle ? 'sign-in?signed-out' : 'account?ended');
  }

  @Post('p/sign-out-everywhere')
  @GuardedAs(AuthController, 'logoutAll')
  async signOutEverywhere(
    @CurrentUser('id') userId: string,
    @Req() request: AuthRequest,
    @Res() response: object,
  ): Promise<unknown> {
    await this.auth.logoutAll(userId, request, response);
    return this.answers.goTo(response, 'sign-in?signed-out');
  }

  private page(
    {
      user,
      devices,
      events,
    }: { user: AuthUser; devices: readonly SessionAnswer[]; events: readonly AuditedEvent[] | null },
    done: string | undefined,
  ): PageContent {
    const { texts } = this.answers;
    const content = markup`${notes(undefined, done)}
    ${section(
      texts.accountOf,
      markup`<p>
        <strong><bdi>${user.email}</bdi></strong>
      </p>`,
      markup`<div class="lk-actions">${form('sign-out', submit(texts.signOut, 'plain'))}</div>`,
    )}
    ${this.links(user)}
    ${section(
      texts.devices,
      markup`<ul class="lk-list">
        ${devices.map((device) => deviceItem(device, texts))}
      </ul>`,
      markup`<div class="lk-actions">${form('sign-out-everywhere', submit(texts.signOutEverywhere, 'danger'))}</div>`,
    )}
${events && section(texts.events, eventList(events, texts))}`;
    return { name: 'account', title: texts.account, content, isWide: true };
  }

  private links({ roles }: AuthUser): Html | null {
    const { texts } = this.answers;
    const { flows } = this.config;
    const links = [
      flows.passwordChange?.routes && (['password', texts.changePassword] as const),
      flows.emailChange?.routes && (['email', texts.changeEmail] as const),
      flows.twoFactor?.routes && flows.twoFactor.totp && (['authenticator', texts.authenticator] as const),
      flows.twoFactor?.routes &&
        !flows.twoFactor.totp &&
        flows.twoFactor.trustedBrowsers !== undefined &&
        (['authenticator', texts.trustedBrowsers] as const),
      flows.passkeys?.routes && (['passkeys', texts.passkeys] as const),
      flows.oidc?.routes && (['identities', texts.identities] as const),
      flows.apiKeys?.routes && (['api-keys', texts.apiKeys] as const),
      flows.accountDeletion?.routes && (['delete-account', texts.deleteAccount] as const),
      flows.admin?.routes && SEERS.some((role) => roles?.includes(role)) && (['admin', texts.admin] as const),
    ].filter((link) => typeof link === 'object');
    if (links.length === 0) return null;
    return section(
      texts.security,
      markup`<ul class="lk-list">
        ${links.map(([page, label]) => markup`<li><a href="${page}">${label}</a></li>`)}
      </ul>`,
    );
  }
}

/** What has just happened, by the parameter that says so. */
const DONE = {
  ended: 'sessionEnded',
  password: 'passwordChanged',
  factor: 'factorRemoved',
} as const satisfies Record<string, keyof PageTexts>;

function deviceItem({ handle, current, lastSeenAt, userAgent, ip }: SessionAnswer, texts: Readonly<PageTexts>): Html {
  const name = deviceLabel(userAgent, texts);
  const seen = withValues(texts.lastSeen, { when: dateIn(lastSeenAt, texts) });
  return markup`<li>
    <div>
      <strong>${name}</strong>${current && markup` <span class="lk-badge">${texts.thisDevice}</span>`}
      <div class="lk-quiet">${seen}${ip !== null && markup` · <bdi>${ip}</bdi>`}</div>
    </div>
    ${
      !current &&
      form(
        `end-session?handle=${encodeURIComponent(handle)}`,
        markup`<button type="submit" aria-label="${withValues(texts.endSession, { device: name })}">
          ${texts.signOut}
        </button>`,
      )
    }
  </li>`;
}

function eventList(events: readonly AuditedEvent[], texts: Readonly<PageTexts>): Html {
  if (events.length === 0) return markup`<p class="lk-quiet">${texts.noEvents}</p>`;
  return markup`<ul class="lk-list">
    ${events.map((event) => {
      const when = dateIn(event.at, texts);
      return markup`<li>
        <div>
          ${eventName(event, texts)}
          <div class="lk-quiet">${when}${event.ip !== null && markup` · <bdi>${event.ip}</bdi>`}</div>
        </div>
      </li>`;
    })}
  </ul>`;
}
