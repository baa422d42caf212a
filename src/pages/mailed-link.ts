import { field, typed, type Form } from './form.js';
import type { Html } from './html.js';
import type { Problem } from './page-problem.js';
import type { PageTexts } from './page-texts.js';

/** The token of a link that was pasted as it stands in the mail, or the token itself; without what surrounds it. */
export function tokenIn(text: unknown): unknown {
  return typeof text === 'string' ? text.slice(text.lastIndexOf('#') + 1).trim() : text;
}

/** Where the script puts the token of the link that was opened, and a person the link without script. */
export function linkField(sent: Form, texts: Readonly<PageTexts>, problem?: Problem): Html {
  const shown = { name: 'token', label: texts.link, autocomplete: 'off', hint: texts.linkHint, isCode: true } as const;
  return field({ ...shown, value: typed(sent, 'token'), fromFragment: true }, problem);
}
