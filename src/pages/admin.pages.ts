import { Get, Post, Query, Req, Res } from '@nestjs/common';
import { AdminService, type Admin } from '../admin/admin.service.js';
import type { AuditEntry } from '../audit/audit.store.js';
import { AuthHealthIndicator, type AuthHealth } from '../health/auth-health.indicator.js';
import type { AuthRequest } from '../http/auth-request.js';
import { CurrentUser } from '../http/auth.decorators.js';
import { ClientIp } from '../http/client-ip.js';
import type { ListedSession } from '../session/session.service.js';
import type { AuthUser } from '../user/user.directory.js';
import { adminEventList } from './admin-event-list.js';
import { adminLinks, clipped, DoneByAdmins, MOST_ROWS, mayAct, moreLink, ShownToOperators } from './admin-layout.js';
import { dateIn } from './dates.js';
import { deviceLabel } from './device-label.js';
import { proofName } from './factor-fields.js';
import { asText, form, notes, section, submit, typed, type Form } from './form.js';
import { markup, type Html } from './html.js';
import { PageAnswers } from './page-answers.js';
import type { PageTexts } from './page-texts.js';
import { Pages } from './pages.decorator.js';
import { withValues } from './with-values.js';

/** Beside the sessions. */
const MOST_EVENTS = 10;

/** `flows.admin`: the accounts, for operators. What is done here is done by `AdminService`. */
@Pages()
export class AdminPages {
  constructor(
    private readonly admin: AdminService,
    private readonly health: AuthHealthIndicator,
    private readonly answers: PageAnswers,
    private readonly clientIp: ClientIp,
  ) {}

  @Get('p/admin')
  @ShownToOperators()
  async showUsers(@Res() response: object, @Query() query: Form): Promise<unknown> {
    const { texts } = this.answers;
    const containing = typed(query, 'q').trim();
    const part = { containing: containing || undefined, after: typed(query, 'after') || undefined };
    const [found, { auth }] = await Promise.all([
      this.admin.listUsers({ ...part, limit: MOST_ROWS + 1 }),
      this.health.check(),
    ]);
    const users = found.slice(0, MOST_ROWS);
    const content = markup`${notes(undefined)}
      ${section(
        texts.adminUsers,
        searchForm(containing, texts),
        users.length === 0
          ? markup`<p class="lk-quiet">${texts.adminNoUsers}</p>`
          : markup`<ul class="lk-list">
              ${users.map((user) => userItem(user, texts))}
            </ul>`,
        found.length > users.length && moreLink('admin', { q: containing, after: users.at(-1)!.email }, texts),
      )}
      ${section(texts.adminHealth, healthList(auth))} ${adminLinks(texts)}`;
    return this.answers.show(response, { name: 'admin', title: texts.admin, content, isWide: true });
  }

  @Get('p/admin-user')
  @ShownToOperators()
  async showUser(@CurrentUser() operator: AuthUser, @Res() response: object, @Query() query: Form): Promise<unknown> {
    const { texts } = this.answers;
    const { user, sessions } = await this.admin.findUser(typed(query, 'id'));
    const from = Number(/^\d{1,5}$/.exec(typed(query, 'from'))?.[0] ?? 0);
    const events = await this.admin.listEvents({ userId: user.id, limit: MOST_EVENTS });
    const content = markup`${notes(undefined, 'done' in query ? texts.adminDone : undefined)}
      ${section(texts.adminUser, facts(user, texts), mayAct(operator) && actions(user, operator, texts))}
      ${section(texts.devices, sessionList({ user, sessions: sessions.slice(from, from + MOST_ROWS) }, mayAct(operator), texts), moreSessions(user, sessions, from, texts))}
      ${events && section(texts.events, adminEventList(events, texts), allEvents(user, events, texts))}
      ${adminLinks(texts)}`;
    return this.answers.show(response, { name: 'admin-user', title: user.email, content, isWide: true });
  }

  @Post('p/admin-disable')
  @DoneByAdmins()
  disable(
    @CurrentUser('id') id: string,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query('id') of: unknown,
  ): Promise<unknown> {
    return this.act(response, of, this.admin.disable(asText(of), this.operator(id, request)));
  }

  @Post('p/admin-enable')
  @DoneByAdmins()
  enable(
    @CurrentUser('id') id: string,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query('id') of: unknown,
  ): Promise<unknown> {
    return this.act(response, of, this.admin.enable(asText(of), this.operator(id, request)));
  }

  @Post('p/admin-end-sessions')
  @DoneByAdmins()
  endSessions(
    @CurrentUser('id') id: string,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query('id') of: unknown,
  ): Promise<unknown> {
    return this.act(response, of, this.admin.endSessions(asText(of), this.operator(id, request)));
  }

  @Post('p/admin-end-session')
  @DoneByAdmins()
  endSession(
    @CurrentUser('id') id: string,
    @Req() request: AuthRequest,
    @Res() response: object,
    @Query('id') of: unknown,
    @Query('handle') handle: unknown,
  ): Promise<unknown> {
    return this.act(response, of, this.admin.endSession(asText(of), asText(handle), this.operator(id, request)));
  }

  private operator(id: string, request: AuthRequest): Admin {
    return { id, ip: this.clientIp.of(request) };
  }

  /** Back to the account, once it is done. */
  private async act(response: object, of: unknown, work: Promise<unknown>): Promise<unknown> {
    await work;
    return this.answers.goTo(response, `admin-user?${idQuery(of)}&done`);
  }
}

const idQuery = (id: unknown): string => `id=${encodeURIComponent(asText(id))}`;

const searchForm = (containing: string, texts: Readonly<PageTexts>): Html =>
  markup`<form method="get" action="admin" role="search">
    <div class="lk-field">
      <label for="lk-q">${texts.email}</label>
      <input id="lk-q" name="q" type="search" autocomplete="off" maxlength="254" value="${containing}" />
    </div>
    ${submit(texts.adminSearch, 'plain')}
  </form>`;

const userItem = ({ id, email, roles = [], disabledAt }: AuthUser, texts: Readonly<PageTexts>): Html =>
  markup`<li>
    <div>
      <a href="admin-user?${idQuery(id)}"><bdi>${clipped(email)}</bdi></a>
      ${disabledAt !== undefined && disabledAt !== null && markup` <span class="lk-badge">${texts.adminDisabled}</span>`}
      <div class="lk-quiet"><bdi>${clipped([id, ...roles].join(' · '))}</bdi></div>
    </div>
  </li>`;

function facts({ id, email, roles = [], emailVerifiedAt, disabledAt }: AuthUser, texts: Readonly<PageTexts>): Html {
  const rows: (readonly [string, string | null])[] = [
    [texts.email, email],
    [texts.adminId, id],
    [texts.adminRoles, roles.join(', ') || null],
    [texts.adminVerified, instantOf(emailVerifiedAt, texts)],
    [texts.adminDisabled, instantOf(disabledAt, texts)],
  ];
  return markup`<dl class="lk-facts">
    ${rows.map(([name, value]) => markup`<dt>${name}</dt><dd><bdi>${value ?? texts.adminNone}</bdi></dd>`)}
  </dl>`;
}

const instantOf = (at: number | null | undefined, texts: Readonly<PageTexts>): string | null =>
  at === undefined || at === null ? null : dateIn(at, texts);

/** Nobody disables their own account. */
function actions({ id, disabledAt }: AuthUser, operator: AuthUser, texts: Readonly<PageTexts>): Html {
  const isDisabled = disabledAt !== undefined && disabledAt !== null;
  return markup`<div class="lk-actions">
    ${form(`admin-end-sessions?${idQuery(id)}`, submit(texts.adminEndSessions, 'plain'))}
    ${isDisabled && form(`admin-enable?${idQuery(id)}`, submit(texts.adminEnable, 'plain'))}
    ${!isDisabled && id !== operator.id && form(`admin-disable?${idQuery(id)}`, submit(texts.adminDisable, 'danger'))}
  </div>`;
}

function sessionList(
  { user, sessions }: { user: AuthUser; sessions: readonly ListedSession[] },
  canEnd: boolean,
  texts: Readonly<PageTexts>,
): Html {
  if (sessions.length === 0) return markup`<p class="lk-quiet">${texts.adminNoSessions}</p>`;
  return markup`<ul class="lk-list">
    ${sessions.map(
      ({ handle, userAgent, lastSeenAt, ip, aal, amr }) =>
        markup`<li>
          <div>
            <strong>${deviceLabel(userAgent, texts)}</strong>
            <div class="lk-quiet">
              ${dateIn(lastSeenAt, texts)}${ip !== null && markup` · <bdi>${ip}</bdi>`} · aal ${aal}, ${amr.map((method) => proofName(method, texts)).join(', ')}
            </div>
          </div>
          ${canEnd && endForm(user, handle, deviceLabel(userAgent, texts), texts)}
        </li>`,
    )}
  </ul>`;
}

const endForm = ({ id }: AuthUser, handle: string, device: string, texts: Readonly<PageTexts>): Html =>
  form(
    `admin-end-session?${idQuery(id)}&handle=${encodeURIComponent(handle)}`,
    markup`<button type="submit" aria-label="${withValues(texts.endSession, { device })}">${texts.signOut}</button>`,
  );

const moreSessions = (
  { id }: AuthUser,
  all: readonly object[],
  from: number,
  texts: Readonly<PageTexts>,
): Html | false =>
  all.length > from + MOST_ROWS && moreLink('admin-user', { id, from: String(from + MOST_ROWS) }, texts);

const allEvents = ({ id }: AuthUser, events: readonly AuditEntry[], texts: Readonly<PageTexts>): Html | false =>
  events.length === MOST_EVENTS && moreLink('admin-events', { user: id, before: events.at(-1)!.id }, texts);

/** As the health check has it: for whoever runs the application. */
const healthList = (health: AuthHealth): Html =>
  markup`<dl class="lk-facts">
    ${Object.entries(health).map(
      ([name, value]) => markup`<dt>${name}</dt><dd>${typeof value === 'string' ? value : JSON.stringify(value)}</dd>`,
    )}
  </dl>`;
