import type { AuthConfig } from '../config/auth-config.js';
import { markup, type Html, type HtmlValue } from './html.js';
import type { Problem } from './page-problem.js';
import type { PageTexts } from './page-texts.js';
import { withValues } from './with-values.js';

/** What a form has sent, as it came: nothing of it has been checked. */
export type Form = Readonly<Record<string, unknown>>;

export function formOf(body: unknown): Form {
  return typeof body === 'object' && body !== null && !Array.isArray(body) ? { ...body } : {};
}

/** A text that is there, or `undefined` for a field that was left empty: a form always sends all of them. */
export function filled(value: unknown): unknown {
  return value === '' ? undefined : value;
}

/** A text; the empty one, which nothing is called, for whatever else a body or a query can hold. */
export const asText = (value: unknown): string => (typeof value === 'string' ? value : '');

/** A field is shown again with what was typed, unless that is a secret. */
export function typed(form: Form, name: string): string {
  return asText(form[name]).slice(0, 1_024);
}

/** Spaces and line ends come along with a code that is copied. */
export const trimmed = (code: unknown): unknown => (typeof code === 'string' ? code.trim() : code);

export const isTicked = (value: unknown): boolean => value === 'on';

interface Field {
  readonly name: string;
  /** Default: the name. Needed where a page has several forms with a field of it. */
  readonly id?: string;
  readonly label: string;
  readonly type?: 'text' | 'email' | 'password' | 'number';
  readonly autocomplete: string;
  readonly value?: string;
  readonly hint?: string | undefined;
  readonly isRequired?: boolean;
  readonly isCode?: boolean;
  /** Filled in by the script from behind the `#` of the mailed link. */
  readonly fromFragment?: boolean;
  /** Where the browser suggests passkeys, and where they lead on. */
  readonly passkeysTo?: string | undefined;
  readonly maxLength?: number;
}

/** A labelled field; what is wrong with it is read out with it. */
export function field(of: Field, problem?: Problem): Html {
  const { name, label, type = 'text', autocomplete, value, hint, isRequired = true, isCode, fromFragment } = of;
  const wrong = problem && Object.hasOwn(problem.fields, name) ? problem.fields[name] : undefined;
  const id = `lk-${of.id ?? name}`;
  const described = [hint && `${id}-hint`, wrong && `${id}-error`].filter(Boolean).join(' ');
  return markup`<div class="lk-field">
    <label for="${id}">${label}</label>
    <input
      id="${id}"
      name="${name}"
      type="${type}"
      autocomplete="${autocomplete}"
      ${value !== undefined && markup` value="${value}"`}${isRequired && markup` required`}${
        (isCode || type === 'email') && markup` autocapitalize="none" spellcheck="false"`
      }${isCode && markup` class="lk-code"`}${described !== '' && markup` aria-describedby="${described}"`}${
        wrong !== undefined && markup` aria-invalid="true" autofocus`
      }${fromFragment && markup` data-from-fragment`}${
        of.passkeysTo !== undefined && markup` data-passkey-suggestions data-next="${of.passkeysTo}"`
      }${of.maxLength !== undefined && markup` maxlength="${of.maxLength}"`}
    />
    ${hint !== undefined && markup`<p class="lk-hint" id="${id}-hint">${hint}</p>`}
    ${wrong !== undefined && markup`<p class="lk-error" id="${id}-error">${wrong}</p>`}
  </div>`;
}

interface Box {
  readonly value?: string;
  readonly isChecked?: boolean;
  readonly type?: 'checkbox' | 'radio';
  /** Default: the name and the value. */
  readonly id?: string | undefined;
}

export function checkbox(
  name: string,
  label: string,
  { value = 'on', isChecked = false, type = 'checkbox', id = `lk-${name}-${value}` }: Box = {},
): Html {
  return markup`<div class="lk-check">
    <input type="${type}" id="${id}" name="${name}" value="${value}" ${isChecked && markup` checked`} /><label for="${id}"
      >${label}</label
    >
  </div>`;
}

/** "Remember me", where there is something to choose. A page with several forms gives each box an `id`. */
export const rememberBox = (
  { session }: Pick<AuthConfig, 'session'>,
  { remember }: Readonly<PageTexts>,
  sent: Form,
  id?: string,
): Html | null =>
  session.remembered === null ? null : checkbox('remember', remember, { isChecked: isTicked(sent['remember']), id });

/** A choice of one. */
export function choice(name: string, legend: string, choices: readonly (readonly [string, string])[]): Html {
  return markup`<fieldset>
    <legend class="lk-legend">${legend}</legend>
    ${choices.map(([value, label], i) => checkbox(name, label, { value, isChecked: i === 0, type: 'radio' }))}
  </fieldset>`;
}

export const hidden = (name: string, value: string): Html =>
  markup`<input type="hidden" name="${name}" value="${value}" />`;

/** A form that posts to a page beside this one. */
export function form(action: string, ...content: readonly HtmlValue[]): Html {
  return markup`<form method="post" action="${action}">${content}</form>`;
}

export function submit(label: string, kind: 'primary' | 'plain' | 'danger' = 'primary'): Html {
  return kind === 'primary'
    ? markup`<button type="submit" class="lk-primary lk-wide-button">${label}</button>`
    : markup`<button type="submit" ${kind === 'danger' && markup` class="lk-danger"`}>${label}</button>`;
}

/** One of a list, which its owner can remove by a form of its own. */
export function removable(
  { page, id, name }: { readonly page: string; readonly id: string; readonly name: string },
  texts: Readonly<PageTexts>,
  ...shown: readonly HtmlValue[]
): Html {
  const label = withValues(texts.removeNamed, { name });
  return markup`<li>
    <div>${shown}</div>
    ${form(
      `${page}?id=${encodeURIComponent(id)}`,
      markup`<button type="submit" aria-label="${label}">${texts.remove}</button>`,
    )}
  </li>`;
}

/** What went wrong or well, read out when the page opens. */
export function notes(problem: Problem | undefined, done?: string): Html {
  return markup`${problem && markup`<p class="lk-note lk-alert" role="alert">${problem.summary}</p>`}
    ${done !== undefined && markup`<p class="lk-note" role="status">${done}</p>`}
    <p class="lk-note" id="lk-status" role="status" hidden></p>`;
}

export const card = (...content: readonly HtmlValue[]): Html => markup`<section class="lk-card">${content}</section>`;

export const section = (title: string, ...content: readonly HtmlValue[]): Html =>
  markup`<section class="lk-card">
    <h2>${title}</h2>
    ${content}
  </section>`;
