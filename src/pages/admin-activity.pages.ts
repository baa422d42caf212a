import { Get, Query, Res } from '@nestjs/common';
import { AdminService } from '../admin/admin.service.js';
import { adminEventList } from './admin-event-list.js';
import { adminLinks, clipped, MOST_ROWS, moreLink, ShownToOperators } from './admin-layout.js';
import { dateIn } from './dates.js';
import { card, section, typed, type Form } from './form.js';
import { markup } from './html.js';
import { PageAnswers } from './page-answers.js';
import { Pages } from './pages.decorator.js';
import { withValues } from './with-values.js';

/** `flows.admin`: what has happened, and who is refused by a rate limit now, for operators. */
@Pages()
export class AdminActivityPages {
  constructor(
    private readonly admin: AdminService,
    private readonly answers: PageAnswers,
  ) {}

  @Get('p/admin-events')
  @ShownToOperators()
  async showEvents(@Res() response: object, @Query() query: Form): Promise<unknown> {
    const { texts } = this.answers;
    const [user, before] = [typed(query, 'user'), typed(query, 'before')];
    const part = { userId: user || undefined, before: before || undefined, limit: MOST_ROWS + 1 };
    const found = await this.admin.listEvents(part);
    const events = found?.slice(0, MOST_ROWS);
    const more = { ...(user && { user }), before: events?.at(-1)?.id ?? '' };
    const content = markup`${
      events
        ? section(
            texts.adminEvents,
            adminEventList(events, texts),
            found!.length > events.length && moreLink('admin-events', more, texts),
          )
        : card(markup`<p>${texts.adminNoAudit}</p>`)
    }
    ${adminLinks(texts)}`;
    return this.answers.show(response, { name: 'admin-events', title: texts.adminEvents, content, isWide: true });
  }

  @Get('p/admin-limits')
  @ShownToOperators()
  async showLimits(@Res() response: object): Promise<unknown> {
    const { texts } = this.answers;
    const { limits, isComplete } = await this.admin.listFullLimits(MOST_ROWS);
    const content = markup`${section(
      texts.adminLimits,
      limits.length === 0
        ? markup`<p class="lk-quiet">${texts.adminNoLimits}</p>`
        : markup`<ul class="lk-list">
            ${limits.map(
              ({ event, subject, resetAt }) =>
                markup`<li>
                  <div>
                    <strong><bdi>${clipped(subject)}</bdi></strong>
                    <div class="lk-quiet">${event} · ${withValues(texts.adminUntil, { when: dateIn(resetAt, texts) })}</div>
                  </div>
                </li>`,
            )}
          </ul>`,
      !isComplete && markup`<p class="lk-quiet">${texts.adminMoreLimits}</p>`,
    )}
    ${adminLinks(texts)}`;
    return this.answers.show(response, { name: 'admin-limits', title: texts.adminLimits, content, isWide: true });
  }
}
