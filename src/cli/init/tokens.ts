/** A word or number, string, template, regular expression or single punctuation mark of TypeScript; comments are left out. */
export interface Token {
  readonly kind: 'word' | 'string' | 'template' | 'regex' | 'mark';
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** What the code cannot be read as: it is left alone then. */
export class Unreadable extends Error {}

const PAIRS: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };
const BEFORE_REGEX = /^(return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield|instanceof)$/;

const TOKEN = new RegExp(
  [
    String.raw`^#![^\n]*|\s+|//[^\n]*|/\*[^]*?\*/`,
    String.raw`(?<word>[\p{ID_Continue}$#]+)`,
    String.raw`(?<string>'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*")`,
    String.raw`(?<mark>[^])`,
  ].join('|'),
  'uy',
);

/**
 * Reads enough of TypeScript to find a decorator's argument or an import: strings, templates, comments and regular
 * expressions are not mistaken for code. The package `typescript` has no such interface any more from version 7 on.
 */
export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < source.length;) {
    const { kind, end } = next(source, at, tokens.at(-1));
    if (kind !== null) tokens.push({ kind, text: source.slice(at, end), start: at, end });
    at = end;
  }
  return tokens;
}

function next(source: string, at: number, before: Token | undefined): { kind: Token['kind'] | null; end: number } {
  TOKEN.lastIndex = at;
  const { word, string, mark } = TOKEN.exec(source)!.groups!;
  const { lastIndex } = TOKEN;
  const kind = word !== undefined ? 'word' : string !== undefined ? 'string' : kindOf(mark, before);
  if (kind === 'template') return { kind, end: endOfTemplate(source, at) };
  return { kind, end: kind === 'regex' ? endOfRegex(source, at) : lastIndex };
}

/** `null` for space and comments. */
function kindOf(mark: string | undefined, before: Token | undefined): Token['kind'] | null {
  if (mark === undefined) return null;
  if (mark === "'" || mark === '"') throw new Unreadable('a string without an end');
  if (mark === '`') return 'template';
  return mark === '/' && startsRegex(before) ? 'regex' : 'mark';
}

function startsRegex(before: Token | undefined): boolean {
  if (!before) return true;
  return before.kind === 'word'
    ? BEFORE_REGEX.test(before.text)
    : before.kind === 'mark' && !/[)\]}]/.test(before.text);
}

function endOfRegex(source: string, start: number): number {
  const regex = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
  regex.lastIndex = start;
  if (!regex.test(source)) throw new Unreadable('a regular expression without an end');
  return regex.lastIndex;
}

function endOfTemplate(source: string, start: number): number {
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === '\\') at++;
    else if (source[at] === '`') return at + 1;
    else if (source.startsWith('${', at)) at = endOfSubstitution(source, at + 2);
  }
  throw new Unreadable('a template without an end');
}

/** The place of the brace that closes the substitution. */
function endOfSubstitution(source: string, start: number): number {
  let depth = 0;
  let before: Token | undefined;
  for (let at = start; at < source.length;) {
    const { kind, end } = next(source, at, before);
    if (kind === 'mark' && source[at] === '{') depth++;
    if (kind === 'mark' && source[at] === '}' && depth-- === 0) return at;
    if (kind !== null) before = { kind, text: source.slice(at, end), start: at, end };
    at = end;
  }
  throw new Unreadable('a template without an end');
}

/** The index of the token that closes the bracket at `open`. */
export function closing(tokens: readonly Token[], open: number): number {
  const expected: string[] = [];
  for (let i = open; i < tokens.length; i++) {
    const { kind, text } = tokens[i]!;
    if (kind !== 'mark') continue;
    if (PAIRS[text]) expected.push(PAIRS[text]);
    else if (/[)\]}]/.test(text) && expected.pop() !== text) break;
    if (expected.length === 0) return i;
  }
  throw new Unreadable('a bracket without its pair');
}

/** The tokens between commas inside the bracket at `open`, as ranges of indices; the last one is never empty. */
export function parts(tokens: readonly Token[], open: number): { from: number; to: number }[] {
  const close = closing(tokens, open);
  const found: { from: number; to: number }[] = [];
  let from = open + 1;
  for (let i = from; i <= close; i++) {
    const { kind, text } = tokens[i]!;
    if (i === close || (kind === 'mark' && text === ',')) {
      if (i > from) found.push({ from, to: i - 1 });
      from = i + 1;
    } else if (kind === 'mark' && PAIRS[text]) i = closing(tokens, i);
  }
  return found;
}

/** Whether the tokens from `at` on are these. */
export function matches(tokens: readonly Token[], at: number, ...texts: string[]): boolean {
  return texts.every((text, i) => tokens[at + i]?.text === text);
}
