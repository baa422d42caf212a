import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { closing, parts, tokensOf, Unreadable } from './tokens.js';

const texts = (source: string) => tokensOf(source).map(({ text }) => text);

const isTemplate = (node: ts.Node) => ts.isTemplateLiteral(node) || ts.isTemplateLiteralTypeNode(node);

/** The strings, templates and regular expressions as TypeScript's own parser finds them. */
function literalsOf(source: string): string[] {
  const file = ts.createSourceFile('a.ts', source, ts.ScriptTarget.ESNext, true);
  const found: string[] = [];
  const visit = (node: ts.Node) => {
    if (ts.isStringLiteral(node) || ts.isRegularExpressionLiteral(node) || isTemplate(node)) {
      found.push(node.getText(file));
    } else ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

describe('tokens', () => {
  it('no bracket in a string, template, comment or regular expression counts', () => {
    const source = "a('(', `(${b({ c: `)` }, '}')}(`, /[(/]\\(/g, x / y /* ( */, // (\n d)";
    const tokens = tokensOf(source);
    expect(closing(tokens, 1)).toBe(tokens.length - 1);
    expect(parts(tokens, 1)).toHaveLength(5);
  });

  it('reads every file of this package as TypeScript does', () => {
    const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
    for (const path of files) {
      const source = readFileSync(join('src', path), 'utf8');
      const mine = tokensOf(source).filter(({ kind }) => /string|template|regex/.test(kind));
      expect([path, mine.map(({ text }) => text)]).toEqual([path, literalsOf(source)]);
    }
    expect(files.length).toBeGreaterThan(100);
  });

  it('knows a division from a regular expression', () => {
    expect(texts('a / b / c')).toEqual(['a', '/', 'b', '/', 'c']);
    expect(texts('f(a) / 2')).toEqual(['f', '(', 'a', ')', '/', '2']);
    expect(texts("return /'/")).toEqual(['return', "/'/"]);
  });

  it.each(["`${a /* it's } */}`", '`${a // `}\n}`', "`${a.replace(/['/}]/g, '')}`", '`${{ a: { b } }}${`${c}`}`'])(
    '%s is one template',
    (source) => {
      expect(texts(source)).toEqual([source]);
    },
  );

  it.each(["'open", '`open', '`${open', 'a = /open'])('%s: cannot be read', (source) => {
    expect(() => tokensOf(source)).toThrow(Unreadable);
  });

  it.each(['(a', '(a]'])('%s has no end', (source) => {
    expect(() => closing(tokensOf(source), 0)).toThrow(Unreadable);
  });
});
