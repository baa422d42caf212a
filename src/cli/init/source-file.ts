import { closing, matches, parts, tokensOf, Unreadable, type Token } from './tokens.js';

interface ImportedName {
  /** The name in this file. */
  readonly name: string;
  readonly exported: string;
  readonly from: string;
}

/** A bracket of the source: an array's or an object's. */
export interface Literal {
  readonly open: number;
  readonly close: number;
}

export interface Property {
  /** Index of the first token of the value. */
  readonly value: number;
  readonly end: number;
}

/** A TypeScript file that gets additions and keeps everything else as its author wrote it. */
export class SourceFile {
  readonly tokens: readonly Token[];
  readonly imported: readonly ImportedName[];
  private readonly additions: { at: number; text: string }[] = [];
  private readonly newImports = new Map<string, readonly string[]>();
  private readonly importEnds: number[] = [];
  private readonly firstImport: number;

  constructor(
    readonly path: string,
    readonly text: string,
  ) {
    this.tokens = tokensOf(text);
    const imported: ImportedName[] = [];
    let first: number | undefined;
    for (let i = 0; i < this.tokens.length; i++) {
      const { text: word, kind, start } = this.tokens[i]!;
      if (kind === 'mark' && '([{'.includes(word)) i = closing(this.tokens, i);
      if (word !== 'import' || kind !== 'word' || /^[.(]/.test(this.tokens[i + 1]?.text ?? '')) continue;
      const from = this.tokens.findIndex((token, j) => j > i && token.kind === 'string');
      if (from < 0) break;
      first ??= start;
      imported.push(...namesIn(this.tokens.slice(i + 1, from), valueOf(this.tokens[from]!)));
      const isOver = this.tokens[from + 1]?.text === ';';
      this.importEnds.push(this.tokens[isOver ? from + 1 : from]!.end);
      i = from;
    }
    this.imported = imported;
    this.firstImport = first ?? 0;
  }

  /** The text with everything that was added. */
  get changed(): string {
    let text = this.text;
    const end = this.importEnds.at(-1);
    const imports = [...this.newImports].map(([from, names]) => {
      const declaration = `import { ${names.join(', ')} } from ${this.quoted(from)}${this.terminator}`;
      return end === undefined
        ? { at: 0, text: `${declaration}\n` }
        : { at: endOfLine(text, end), text: `\n${declaration}` };
    });
    const fromTheEnd = [...this.additions, ...imports]
      .map((addition, i) => ({ ...addition, i }))
      .toSorted((a, b) => b.at - a.at || b.i - a.i);
    for (const { at, text: added } of fromTheEnd) text = text.slice(0, at) + this.spelled(added) + text.slice(at);
    return text;
  }

  get quote(): string {
    return this.tokens.find(({ kind }) => kind === 'string')?.text[0] ?? "'";
  }

  /** How it spells relative imports: `.js` as ES modules do, or without an ending. */
  get ending(): string | undefined {
    const relative = this.imported.find(({ from }) => from.startsWith('.'))?.from;
    return relative && (/\.[jt]s$/.exec(relative)?.[0] ?? '');
  }

  get indentation(): string {
    return /\n([ \t]+)[^\s*]/.exec(this.text)?.[1] ?? '  ';
  }

  /** The name under which this file has that export, if it imports it. */
  nameOf(exported: string, from: string): string | undefined {
    return this.imported.find((one) => one.exported === exported && one.from === from)?.name;
  }

  has(name: string): boolean {
    return this.tokens.some(({ kind, text }) => kind === 'word' && text === name);
  }

  /** Imports what is not imported yet, behind the other imports. */
  import(names: readonly string[], from: string): void {
    const missing = names.filter((name) => !this.nameOf(name.split(' as ')[0]!, from));
    if (missing.length > 0) this.newImports.set(from, [...new Set([...(this.newImports.get(from) ?? []), ...missing])]);
  }

  /** Imports a file for what it does, before all others. */
  importFirst(from: string): void {
    this.add(this.firstImport, `import ${this.quoted(from)}${this.terminator}\n`);
  }

  /** Adds elements to the array, or properties to the object, in the layout that it has. */
  append(literal: Literal, added: readonly string[]): void {
    const { open, close } = literal;
    const elements = parts(this.tokens, open);
    const [opening, end] = [this.tokens[open]!, this.tokens[close]!];
    const outer = this.indentAt(opening.start);
    const inner = outer + this.indentation;
    const last = elements.at(-1);
    const hasComma = last !== undefined && this.tokens[last.to + 1]!.text === ',';
    const lineStart = this.text.lastIndexOf('\n', end.start) + 1;
    const closesAlone = lineStart > opening.end && this.text.slice(lineStart, end.start).trim() === '';
    const isShort = added.every((text) => !text.includes('\n')) && added.join(', ').length < 40;
    if (closesAlone) {
      const indent = last ? this.indentAt(this.tokens[last.from]!.start) : inner;
      if (last && !hasComma) this.add(this.tokens[last.to]!.end, ',');
      this.add(lineStart, added.map((text) => `${indent}${this.indented(text, indent)},\n`).join(''));
    } else if (last && (isShort || this.tokens[last.to]!.end > endOfLine(this.text, opening.start))) {
      const space = hasComma ? ' ' : ', ';
      this.add(
        hasComma ? this.tokens[last.to + 1]!.end : this.tokens[last.to]!.end,
        space + added.map((text) => this.indented(text, outer)).join(', '),
      );
    } else if (!last && isShort) {
      const padding = opening.text === '{' ? ' ' : '';
      this.add(opening.end, padding + added.join(', ') + padding);
    } else {
      // A line each: also for those that shared one.
      for (const { from } of elements) this.add(this.tokens[from]!.start, `\n${inner}`);
      const lines = added.map((text) => `\n${inner}${this.indented(text, inner)},`).join('');
      this.add(
        last ? this.tokens[hasComma ? last.to + 1 : last.to]!.end : opening.end,
        `${last && !hasComma ? ',' : ''}${lines}\n${outer}`,
      );
    }
  }

  /** Adds text before a token. */
  insertBefore(token: number, text: string): void {
    this.add(this.tokens[token]!.start, text);
  }

  /** The properties of an object literal that are written as `name: value`. */
  propertiesOf({ open }: Literal): ReadonlyMap<string, Property> {
    const found = new Map<string, Property>();
    for (const { from, to } of parts(this.tokens, open)) {
      const name = this.tokens[from]!;
      const isAsync = name.text === 'async' && this.tokens[from + 1]!.kind === 'word';
      const key = name.kind === 'string' ? valueOf(name) : isAsync ? this.tokens[from + 1]!.text : name.text;
      if (this.tokens[from + 1]?.text === ':') found.set(key, { value: from + 2, end: to });
      else found.set(key, { value: from, end: to });
    }
    return found;
  }

  /** The array or object that this value consists of; `undefined` for any other expression. */
  literalOf({ value, end }: Property, bracket: '[' | '{'): Literal | undefined {
    if (this.tokens[value]?.text !== bracket || closing(this.tokens, value) !== end) return undefined;
    return { open: value, close: end };
  }

  /** The text of a value that is a string literal. */
  stringOf({ value, end }: Property): string | undefined {
    return value === end && this.tokens[value]!.kind === 'string' ? valueOf(this.tokens[value]!) : undefined;
  }

  /** The arguments of each call such as `TypeOrmModule.forRoot(…)`: the index of the bracket. */
  callsOf(object: string, methods: readonly string[]): { method: string; open: number }[] {
    return this.tokens.flatMap((_, i) => {
      const method = methods.find((name) => matches(this.tokens, i, object, '.', name, '('));
      return method === undefined || this.tokens[i - 1]?.text === '.' ? [] : [{ method, open: i + 3 }];
    });
  }

  /** The metadata of `@Module({ … }) class name`; `undefined` if there is none, or it is not written as an object. */
  moduleMetadata(name: string): Literal | undefined {
    for (let i = 0; i < this.tokens.length; i++) {
      if (!matches(this.tokens, i, '@', 'Module', '(', '{')) continue;
      const close = closing(this.tokens, i + 2);
      const metadata = { open: i + 3, close: closing(this.tokens, i + 3) };
      const isWhole =
        metadata.close === close - 1 || (metadata.close === close - 2 && this.tokens[close - 1]!.text === ',');
      const declared = this.tokens.findIndex(({ text, kind }, j) => j > close && kind === 'word' && text === 'class');
      if (isWhole && this.tokens[declared + 1]?.text === name) return metadata;
    }
    return undefined;
  }

  private add(at: number, text: string): void {
    this.additions.push({ at, text });
  }

  private quoted(text: string): string {
    return `${this.quote}${text}${this.quote}`;
  }

  private get terminator(): string {
    const end = this.importEnds[0];
    return end === undefined || this.text[end - 1] === ';' ? ';' : '';
  }

  /** With the quotes and the line ends of this file. */
  private spelled(text: string): string {
    const quotes = this.quote === '"' ? text.replaceAll("'", '"') : text;
    return this.text.includes('\r\n') ? quotes.replaceAll('\n', '\r\n') : quotes;
  }

  /** Its further lines, which are indented by two spaces a level, as deep as this file would have them. */
  private indented(text: string, indent: string): string {
    return text.replaceAll(
      /\n((?: {2})*)/g,
      (_, spaces: string) => `\n${indent}${this.indentation.repeat(spaces.length / 2)}`,
    );
  }

  private indentAt(offset: number): string {
    return /^[ \t]*/.exec(this.text.slice(this.text.lastIndexOf('\n', offset - 1) + 1))![0];
  }
}

/** The place of the line's end at or after this one. */
function endOfLine(text: string, offset: number): number {
  const end = text.indexOf('\n', offset);
  if (end < 0) return text.length;
  return text[end - 1] === '\r' ? end - 1 : end;
}

const valueOf = ({ text }: Token): string => text.slice(1, -1);

/** `type` imports are no values, and are left out. */
function namesIn(tokens: readonly Token[], from: string): ImportedName[] {
  if (tokens[0]?.text === 'type') return [];
  const open = tokens.findIndex(({ text }) => text === '{');
  const names: ImportedName[] = [];
  if (tokens[0]?.kind === 'word' && tokens[0].text !== 'from')
    names.push({ name: tokens[0].text, exported: 'default', from });
  if (open < 0) return names;
  try {
    for (const { from: first, to } of parts(tokens, open)) {
      if (tokens[first]!.text === 'type' && to > first) continue;
      names.push({ name: tokens[to]!.text, exported: tokens[first]!.text, from });
    }
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
  }
  return names;
}
