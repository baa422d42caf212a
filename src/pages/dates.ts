import type { PageTexts } from './page-texts.js';

/** In the language of the pages, in UTC: the server does not know where its reader is. */
export function dateIn(at: string | number, { lang }: Readonly<PageTexts>): string {
  const format = new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' });
  return `${format.format(new Date(at))} UTC`;
}
