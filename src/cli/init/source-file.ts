import { closing, matches, parts, tokensOf, Unreadable, type Token } from './tokens.js';

interface ImportedName {
  /** The name in this file. */
  readonly name: string;
  readonly exported: string;
  readonly from: string;
}

/** Text in place of what is between two offsets. */
interface Edit {
  readonly at: number;
  readonly to: number;
  readonly text: string;
}

const insertion = (at: number, text: string): Edit => ({ at, to: at, text });

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
  private readonly edits: Edit[] = [];
  private readonly appended = new Map<number, readonly string[]>();
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
      return end === undefined ? insertion(0, `${declaration}\n`) : insertion(endOfLine(text, end), `\n${declaration}`);
    });
    const appended = [...this.appended].flatMap(([open, added]) => this.appending(open, added));
    // From the end on, so that the places before stay what they are; at one place in the order of their making.
    const edits = [...this.edits, ...imports, ...appended].map((edit, i) => ({ ...edit, i }));
    for (const { at, to, text: added } of edits.toSorted((a, b) => b.at - a.at || b.i - a.i)) {
      text = text.slice(0, at) + this.spelled(added) + text.slice(to);
    }
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
    this.edits.push(insertion(this.firstImport, `import ${this.quoted(from)}${this.terminator}\n`));
  }

  /** Adds elements to the array, or properties to the object, in the layout that it has. */
  append({ open }: Literal, added: readonly string[]): void {
    this.appended.set(open, [...(this.appended.get(open) ?? []), ...added]);
  }

  /** Adds text before a token. */
  insertBefore(token: number, text: string): void {
    this.edits.push(insertion(this.tokens[token]!.start, text));
  }

  /** Whether the object has neither a spread nor a computed key. */
  isPlain({ open }: Literal): boolean {
    return parts(this.tokens, open).every(({ from }) => !/^[.[]/.test(this.tokens[from]!.text));
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

  private appending(open: number, added: readonly string[]): Edit[] {
    const [opening, end] = [this.tokens[open]!, this.tokens[closing(this.tokens, open)]!];
    const elements = parts(this.tokens, open);
    const last = elements.at(-1);
    const comma = last && this.tokens[last.to + 1]!.text === ',' ? this.tokens[last.to + 1] : undefined;
    const outer = this.indentAt(opening.start);
    const lineStart = this.text.lastIndexOf('\n', end.start) + 1;
    if (lineStart > opening.end && this.text.slice(lineStart, end.start).trim() === '') {
      // The bracket closes on a line of its own.
      const indent = last ? this.indentAt(this.tokens[last.from]!.start) : outer + this.indentation;
      const lines = added.map((text) => `${indent}${this.indented(text, indent)},\n`).join('');
      return [...(last && !comma ? [insertion(this.tokens[last.to]!.end, ',')] : []), insertion(lineStart, lines)];
    }
    // What is before it may be a comment.
    const spaceFrom = end.start - /\s*$/.exec(this.text.slice(opening.end, end.start))![0].length;
    if (added.every((text) => !text.includes('\n'))) {
      if (last) return [insertion((comma ?? this.tokens[last.to]!).end, (comma ? ' ' : ', ') + added.join(', '))];
      const padding = opening.text === '{' ? ' ' : '';
      const before = spaceFrom === opening.end ? padding : ' ';
      return [{ at: spaceFrom, to: end.start, text: before + added.join(', ') + padding }];
    }
    // A line each, also for those that shared one.
    const inner = outer + this.indentation;
    const lines = added.map((text) => `\n${inner}${this.indented(text, inner)},`).join('');
    const breaks = elements.map(({ from }) => {
      const { start } = this.tokens[from]!;
      return { at: start - /\s*$/.exec(this.text.slice(0, start))![0].length, to: start, text: `\n${inner}` };
    });
    return [
      ...breaks,
      ...(last && !comma ? [insertion(this.tokens[last.to]!.end, ',')] : []),
      { at: spaceFrom, to: end.start, text: `${lines}\n${outer}` },
    ];
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
