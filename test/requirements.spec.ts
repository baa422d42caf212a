import { describe, expect, it } from '@jest/globals';
import { filesIn, page, pages } from './support/docs.js';

/** R1 to R40, and the letters of the normative checklist. */
const CODE = /\b(?:R[1-9]\d?|[EFGJKLOPTX][1-9])\b/g;
const TEST = /`([\w./-]+\.(?:spec|contract)\.ts)`: `([^`]+)`/g;

const requirements = page('docs/requirements.md');
const defined = new Set([...requirements.matchAll(/^\| ([A-Z]\d+) +\|/gm)].map((row) => row[1]!));

const sources = ['src', 'test']
  .flatMap((folder) => filesIn(folder, /\.ts$/))
  .map((path) => ({ path, text: page(path) }));
const tests = sources.filter(({ path }) => /\.(spec|contract)\.ts$/.test(path));

/** The texts in quotes: titles, and the first cells of `it.each`. */
function quoted(text: string): string[] {
  return [...text.matchAll(/(['"`])((?:(?!\1)[^\\\n]|\\.)*)\1/g)].map((match) => match[2]!);
}

/** Codes at the beginning of a title, after another one in it, or in brackets. */
function codesOfTitles(text: string): string[] {
  return quoted(text).flatMap((title) =>
    [...title.matchAll(/(?:^|; )([A-Z]\d+)(?:-[A-Z]\d+)?: |\(([A-Z]\d+)\)/g)].map((match) => (match[1] ?? match[2])!),
  );
}

function codesOfComments(text: string): string[] {
  return [...text.matchAll(/\/\*\*[\s\S]*?\*\/|^\s*\/\/.*$/gm)].flatMap(([comment]) =>
    [...comment.matchAll(/[(,] ?(?:[A-Z]\d+)(?=[),])/g)].flatMap(([match]) => match.match(CODE) ?? []),
  );
}

describe('docs/requirements.md', () => {
  it('defines every code that a test title, a comment or the doctor uses', () => {
    const checklist = quoted(page('src/cli/doctor/checklist.ts')).filter((text) => /^[A-Z]\d$/.test(text));
    const used = new Set([
      ...checklist,
      ...tests.flatMap(({ text }) => codesOfTitles(text)),
      ...sources.flatMap(({ text }) => codesOfComments(text)),
    ]);
    expect([...used].filter((code) => !defined.has(code)).toSorted()).toEqual([]);
    for (const code of ['R1', 'R33', 'R25', 'R9', 'K1', 'F3', 'T6']) expect(used).toContain(code); // it does look
  });

  it('defines no code twice, and each with a test', () => {
    const rows = [...requirements.matchAll(/^\| ([A-Z]\d+) +\|.*$/gm)];
    expect(rows.length).toBe(defined.size);
    expect(rows.filter(([row]) => row.match(TEST) === null)).toEqual([]);
  });
});

it.each(['docs/requirements.md', 'docs/compatibility.md'])('every test that %s names exists', (path) => {
  const named = [...page(path).matchAll(TEST)].map(([, file, title]) => ({ file: file!, title: title! }));
  const missing = named.filter(
    ({ file, title }) =>
      !tests.some(
        (test) =>
          `/${test.path}`.endsWith(`/${file}`) &&
          quoted(test.text).some((text) => text.replaceAll(/\\(['"])/g, '$1') === title),
      ),
  );
  expect(missing).toEqual([]);
  expect(named.length).toBeGreaterThan(15);
});

it('no other page uses a code', () => {
  const others = pages().filter(({ path }) => !/requirements|compatibility/.test(path));
  expect(others.filter(({ text }) => /\(R[1-9]\d?\)/.test(text)).map(({ path }) => path)).toEqual([]);
});
