import { card, field, form, notes, submit, typed, type Form } from './form.js';
import { markup, type Html } from './html.js';
import type { PageContent } from './layout.js';
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

/** A page that a link opens, and that only asks for a click; with `?done` it says what has come of it. */
interface LinkedPage {
  readonly name: string;
  readonly title: string;
  readonly hint?: string;
  readonly done: string;
}

export function linkedPage(
  { name, title, hint, done }: LinkedPage,
  sent: Form,
  texts: Readonly<PageTexts>,
  problem?: Problem,
): PageContent {
  if ('done' in sent) {
    const content = markup`${card(notes(undefined, done), markup`<p><a href="account">${texts.account}</a></p>`)}`;
    return { name, title, content };
  }
  const content = card(
    notes(problem),
    hint !== undefined && markup`<p>${hint}</p>`,
    form(name, linkField(sent, texts, problem), submit(texts.continue)),
  );
  return { name, title, content };
}

/** One field for a code that is typed and a link that is pasted, or opened. */
export function proofField(sent: Form, texts: Readonly<PageTexts>, problem?: Problem): Html {
  const shown = { name: 'code', label: texts.linkOrCode, autocomplete: 'one-time-code', isCode: true } as const;
  return field({ ...shown, hint: texts.confirmHint, value: typed(sent, 'code'), fromFragment: true }, problem);
}

/** A pasted link, its token, or the code: the token is the longer one by far. */
export function proofOf(text: unknown): { token?: unknown; code?: unknown } {
  const token = tokenIn(text);
  return typeof token === 'string' && token.length <= 40 ? { code: token } : { token };
}

/** One field for both. */
export function aboutCode({ summary, fields: { token, ...fields } }: Problem): Problem {
  return { summary, fields: token === undefined ? fields : { code: token, ...fields } };
}
