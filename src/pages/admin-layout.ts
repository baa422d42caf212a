import { applyDecorators, UseGuards } from '@nestjs/common';
import { RequireFresh } from '../http/assurance.decorators.js';
import { RequireRole } from '../http/require-role.decorator.js';
import type { AuthUser } from '../user/user.directory.js';
import { markup, textOf, type Html } from './html.js';
import { OperatorGuard } from './operator.guard.js';
import type { PageTexts } from './page-texts.js';

/** Who may disable accounts and end sessions. */
const ACTOR = 'admin';
/** Rows of one part of a list: with `clipped` texts, no page is larger than 30 kB. */
export const MOST_ROWS = 25;
/** An address of usual characters is shown as a whole. */
const MOST_BYTES = 254;

/** Who may see the admin pages. */
export const SEERS = [ACTOR, 'auditor'] as const;

/** A page that changes nothing. */
export const ShownToOperators = () => applyDecorators(RequireRole(...SEERS), RequireFresh(), UseGuards(OperatorGuard));
/** A form that does something to an account. */
export const DoneByAdmins = () => applyDecorators(RequireRole(ACTOR), RequireFresh(), UseGuards(OperatorGuard));

export const mayAct = ({ roles }: AuthUser): boolean => roles?.includes(ACTOR) === true;

/** The way to the other admin pages. */
export const adminLinks = (texts: Readonly<PageTexts>): Html =>
  markup`<nav class="lk-links">
    <p>
      <a href="admin">${texts.adminUsers}</a> · <a href="admin-events">${texts.adminEvents}</a> ·
      <a href="admin-limits">${texts.adminLimits}</a> · <a href="account">${texts.account}</a>
    </p>
  </nav>`;

/** The next part of a list, if there is one. */
export const moreLink = (page: string, query: Readonly<Record<string, string>>, texts: Readonly<PageTexts>): Html =>
  markup`<p class="lk-links"><a href="${page}?${String(new URLSearchParams(query))}" rel="next">${texts.more}</a></p>`;

/** The beginning of what somebody else has typed, by the size that it has as HTML. */
export function clipped(text: string): string {
  let [shown, bytes] = ['', 0];
  for (const character of text) {
    bytes += Buffer.byteLength(textOf(markup`${character}`));
    if (bytes > MOST_BYTES) return `${shown}…`;
    shown += character;
  }
  return text;
}
