import type { PageTexts } from './page-texts.js';

/** In the language of the pages, in UTC: the server does not know where its reader is. */
export function dateIn(iso: string, { lang }: Readonly<PageTexts>): string {
  const format = new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' });
  return `${format.format(new Date(iso))} UTC`;
}
