import type { AuditEntry } from '../audit/audit.store.js';
import { clipped } from './admin-layout.js';
import { dateIn } from './dates.js';
import { markup, type Html } from './html.js';
import type { PageTexts } from './page-texts.js';
import { eventName } from './recent-events.js';

/** What has happened, one line each, with everything that the audit has of it. */
export function adminEventList(entries: readonly AuditEntry[], texts: Readonly<PageTexts>): Html {
  if (entries.length === 0) return markup`<p class="lk-quiet">${texts.noEvents}</p>`;
  return markup`<ul class="lk-list">
    ${entries.map(
      (entry) =>
        markup`<li>
          <div>
            <strong>${eventName(entry, texts)}</strong>${nameOf(entry, texts)}
            <div class="lk-quiet">${dateIn(entry.at, texts)}${entry.ip !== null && markup` · <bdi>${entry.ip}</bdi>`}</div>
            ${subjectOf(entry)} ${factsOf(entry)}
          </div>
        </li>`,
    )}
  </ul>`;
}

/** Its type, by which the documentation and the log call it, where that is not shown already. */
const nameOf = (entry: AuditEntry, texts: Readonly<PageTexts>): Html | false =>
  eventName(entry, texts) !== entry.type && markup` <span class="lk-quiet">${entry.type}</span>`;

function subjectOf({ userId, login }: AuditEntry): Html | null {
  if (userId === null && login === null) return null;
  const user =
    userId !== null && markup`<a href="admin-user?id=${encodeURIComponent(userId)}"><bdi>${userId}</bdi></a>`;
  return markup`<div class="lk-quiet">${user} ${login !== null && markup`<bdi>${clipped(login)}</bdi>`}</div>`;
}

function factsOf({ facts }: AuditEntry): Html | null {
  const written = Object.entries(facts).filter(([, value]) => value !== null);
  if (written.length === 0) return null;
  const texted = written.map(
    ([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return markup`<div class="lk-quiet"><bdi>${clipped(texted.join(', '))}</bdi></div>`;
}
