import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { siteLink } from '../docs/.vitepress/links.js';
import { linksOf, readSidebar, sidebarOf } from '../docs/.vitepress/navigation.js';
import { page, pages } from './support/docs.js';
import { transcript } from './support/readme.js';

/** The address of a page on the site. */
const addressOf = (path: string) =>
  path
    .replace(/^docs/, '')
    .replace(/\.md$/, '')
    .replace(/\/(?:README|index)$/, '/');

interface Results {
  measuredOn: string;
  tables: { title: string; rows: { name: string; cells: Record<string, { median: number }> }[] }[];
}

describe('documentation site', () => {
  it('every page is in the sidebar, once, and every entry of the sidebar is a page', () => {
    const own = pages().flatMap(({ path }) => (path.startsWith('docs/') ? [path] : []));
    const addresses = own.filter((path) => path !== 'docs/README.md').map(addressOf);
    const shown = linksOf(readSidebar());
    expect(shown.toSorted()).toEqual(addresses.toSorted());
    expect(shown.length).toBeGreaterThan(30);
  });

  it('a page that is in no list is in no sidebar (negative control)', () => {
    const index =
      '## Using it\n\n- [One](one.md): words\n- [Two](two/README.md): [a](two/a.md)\n\nNot [this](three.md).\n';
    expect(sidebarOf(index)).toEqual([
      {
        text: 'Using it',
        items: [
          { text: 'One', link: '/one' },
          { text: 'Two', link: '/two/', collapsed: true, items: [{ text: 'a', link: '/two/a' }] },
        ],
      },
    ]);
  });

  it.each([
    ['index.md', 'start.md#log-in', 'start.md#log-in'],
    [
      'index.md',
      '../README.md#benchmarks',
      'https://github.com/nestjs-latchkey/nestjs-latchkey/blob/main/README.md#benchmarks',
    ],
    [
      'recipes/smtp.md',
      '../../test/app/recipes',
      'https://github.com/nestjs-latchkey/nestjs-latchkey/tree/main/test/app/recipes',
    ],
    ['recipes/smtp.md', 'README.md', 'index.md'],
    [
      'recipes/smtp.md',
      'https://github.com/nestjs-latchkey/nestjs-latchkey/blob/main/docs/mail.md#in-tests',
      '../mail.md#in-tests',
    ],
    ['mail.md', '#in-tests', '#in-tests'],
    ['mail.md', 'https://example.com/docs/', 'https://example.com/docs/'],
  ])('on %s the link %s leads to %s', (from, link, expected) => {
    expect(siteLink(from, link)).toBe(expected);
  });

  it('the first page has the transcript of the README', () => {
    expect(transcript(page('docs/index.md'))).toEqual(transcript(page('README.md')));
  });

  it('the figures of "why not" are those of bench/results', () => {
    const results = (name: string) => JSON.parse(readFileSync(`bench/results/${name}.json`, 'utf8')) as Results;
    const of = (name: string, table: number, row: string, column = 'per second') => {
      const { median } = results(name).tables[table]!.rows.find((found) => found.name === row)!.cells[column]!;
      return Math.round(median).toLocaleString('en');
    };
    const guarded = (row: string) => of('guarded-get', 0, row, 'requests a second');
    const text = page('docs/index.md');
    const shown = /<!-- why-not -->(.*)<!-- \/why-not -->/s.exec(text)![1]!;
    const cells = (row: string) => row.split('|').map((cell) => cell.trim());
    const figures = shown
      .trim()
      .split('\n')
      .slice(2)
      .map(cells)
      .map(([, name, , theirs, ours]) => [name, theirs, ours]);
    const session = `${guarded('latchkey, session')}, cached ${guarded('latchkey, session, cached')}`;
    expect(figures).toEqual([
      [
        'express-session + connect-pg-simple',
        `${guarded('express-session + connect-pg-simple')}, without writing ${guarded('express-session + connect-pg-simple, disableTouch')}`,
        session,
      ],
      [
        'passport + @nestjs/jwt',
        `${guarded('@nestjs/jwt + passport-jwt')}, with a KeyObject ${guarded('@nestjs/jwt + passport-jwt, KeyObject')}`,
        `${guarded('latchkey, JWT')}, cached ${guarded('latchkey, JWT, cached')}`,
      ],
      ['better-auth', `${guarded('better-auth')}, cookie cache ${guarded('better-auth, cookie cache')}`, session],
      ['iron-session', of('tokens', 1, 'iron-session'), of('tokens', 1, 'nestjs-latchkey')],
      [
        '@nestjs/throttler',
        `${of('rate-limit', 0, '@nestjs/throttler, in memory')}, a blocked one ${of('rate-limit', 1, '@nestjs/throttler, in memory')}`,
        `${of('rate-limit', 0, 'nestjs-latchkey')}, a blocked one ${of('rate-limit', 1, 'nestjs-latchkey, remembered')}`,
      ],
    ]);
    for (const name of ['guarded-get', 'tokens', 'rate-limit']) {
      expect(text).toContain(`[${name}](../bench/results/${name}.md)`);
      expect(text).toContain(`all of ${results(name).measuredOn}`);
    }
  });

  it('the API is that of every entry of the package', () => {
    const { entryPoints } = JSON.parse(page('docs/typedoc.json')) as { entryPoints: string[] };
    const { exports } = JSON.parse(page('package.json')) as { exports: Record<string, { import?: { types: string } }> };
    const sources = Object.values(exports).flatMap(({ import: entry }) =>
      entry ? [entry.types.replace('./dist/', '../src/').replace('.d.ts', '.ts')] : [],
    );
    expect(entryPoints.toSorted()).toEqual(sources.toSorted());
    expect(sources.every((path) => existsSync(path.slice('../'.length)))).toBe(true);
  });
});
