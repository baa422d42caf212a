const MADE = Symbol('nestjs-latchkey.html');

/** Text that is HTML. Only `markup` makes it, so whatever else stands in a page has been escaped. */
export interface Html {
  readonly [MADE]: string;
}

/** What may stand in `markup`: nothing is written for `null`, `undefined` and `false`. */
export type HtmlValue = Html | string | number | null | undefined | false | readonly HtmlValue[];

/**
 * HTML with every value escaped, but for what this tag made itself. Values stand between tags or in attributes in double
 * quotes, nowhere else: never in a name, a script or a style. It is not called `html`, which Prettier would format, closing
 * what another part closes.
 */
export function markup(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return made(parts.map((part, i) => part + written(values[i])).join(''));
}

/** The text of it, for the answer. */
export function textOf(content: Html): string {
  return content[MADE];
}

function written(value: HtmlValue): string {
  if (value === null || value === undefined || value === false) return '';
  if (isList(value)) return value.map(written).join('');
  // A look-alike that came as JSON cannot have the symbol.
  if (typeof value === 'object') return MADE in value ? value[MADE] : '';
  return escaped(String(value));
}

const isList = (value: unknown): value is readonly HtmlValue[] => Array.isArray(value);
const made = (text: string): Html => Object.freeze({ [MADE]: text });

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** What would turn the text around it, or is not to be seen, is shown as what it is: not a character of a name. */
const UNSEEN =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function escaped(text: string): string {
  return text
    .replaceAll(UNSEEN, '\ufffd')
    .replaceAll(/\p{Surrogate}/gu, '\ufffd')
    .replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);
}
