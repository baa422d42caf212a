import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** Where the README's links lead, which must work from the npm registry too. */
const REPOSITORY = /^https:\/\/github\.com\/nestjs-latchkey\/nestjs-latchkey\/(?:blob|tree)\/main\//;

export interface Page {
  /** Path from the root of the repository. */
  readonly path: string;
  readonly text: string;
}

/** A TypeScript block; `source` is the file that it shows, named in a comment above it. */
export interface Snippet {
  readonly code: string;
  readonly source: string | undefined;
}

/** Every Markdown page that is kept by hand: not the API, which typedoc writes. */
export function pages(): Page[] {
  const top = readdirSync('.').filter((name) => name.endsWith('.md'));
  const docs = filesIn('docs', /\.md$/).filter((path) => !/^docs\/(?:api|\.vitepress|node_modules)\//.test(path));
  return [...top, ...docs, 'bench/README.md'].map((path) => ({ path, text: page(path) }));
}

export function page(path: string): string {
  return readFileSync(path, 'utf8');
}

/** Paths of the files below a folder whose name matches. */
export function filesIn(folder: string, name: RegExp): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => name.test(path))
    .map((path) => `${folder}/${path}`)
    .toSorted();
}

/** The code blocks of one language, in order. */
export function codeBlocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map((match) => match[1]!);
}

export function snippets(text: string): Snippet[] {
  return [...text.matchAll(/(?:^<!-- (\S+\.ts) -->\n\n)?^```ts\n(.*?)^```/gms)].map(([, source, code]) => ({
    source,
    code: code!,
  }));
}

/** What is wrong with the page's links to files and headings of this repository. */
export function brokenLinks({ path, text }: Page): string[] {
  const links = [...withoutCode(text).matchAll(/\]\(<?([^)\s>]+)>?\)/g)].map((match) => match[1]!);
  return links.filter((link) => !leadsSomewhere(path, link)).map((link) => `${path}: ${link}`);
}

function leadsSomewhere(from: string, link: string): boolean {
  const [file, anchor] = link.split('#') as [string, string?];
  const inRepository = REPOSITORY.test(file);
  if (/^[a-z]+:/.test(file) && !inRepository) return true;
  const target =
    file === '' ? from : inRepository ? file.replace(REPOSITORY, '') : normalize(join(dirname(from), file));
  if (!existsSync(target)) return false;
  return anchor === undefined || anchors(readFileSync(target, 'utf8')).has(anchor);
}

/** The anchors that GitHub gives to the headings of a page. */
export function anchors(text: string): Set<string> {
  const found = new Set<string>();
  for (const [, heading] of withoutCode(text).matchAll(/^#+ (.+)$/gm)) {
    const anchor = heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
    let name = anchor;
    for (let again = 1; found.has(name); again++) name = `${anchor}-${again}`;
    found.add(name);
  }
  return found;
}

function withoutCode(text: string): string {
  return text.replaceAll(/^```.*?^```/gms, '');
}
