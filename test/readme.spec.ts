import { readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { page, snippets } from './support/docs.js';
import { transcript } from './support/readme.js';

const readme = page('README.md');

describe('README', () => {
  it('has at most 200 lines', () => {
    expect(readme.split('\n').length - 1).toBeLessThanOrEqual(200);
  });

  it('its first program is test/app', () => {
    expect(snippets(readme)[0]).toEqual({
      source: 'test/app/app.module.ts',
      code: page('test/app/app.module.ts'),
    });
  });

  it('its links work from the npm registry: none is relative', () => {
    const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1]!);
    expect(links.filter((link) => !link.startsWith('https://'))).toEqual([]);
    expect(links.length).toBeGreaterThan(10);
  });

  it('its pictures are files of docs/images, shown from anywhere, and small', () => {
    const at = 'https://raw.githubusercontent.com/nestjs-latchkey/nestjs-latchkey/main/';
    const pictures = [...readme.matchAll(/<img src="([^"]+)"/g)].map((match) => match[1]!);
    expect(pictures).toEqual([`${at}docs/images/sign-in.png`, `${at}docs/images/account.png`]);
    for (const picture of pictures) expect(statSync(picture.slice(at.length)).size).toBeLessThan(60_000);
  });

  it('its transcript logs in, is known, logs out and is forgotten', () => {
    const steps = transcript(readme);
    expect(steps.map(({ output }) => /HTTP\/1\.1 (\d+)/.exec(output)?.[1] ?? '200')).toEqual([
      '200',
      '201',
      '200',
      '200',
      '401',
    ]);
  });

  it('its benchmark table is what bench/results says', () => {
    const { tables } = JSON.parse(readFileSync('bench/results/guarded-get.json', 'utf8')) as {
      tables: { rows: { name: string; cells: Record<'requests a second', { median: number }> }[] }[];
    };
    const shown = /<!-- guarded-get -->(.*)<!-- \/guarded-get -->/s.exec(readme)![1]!;
    const figures = [...shown.matchAll(/^\| [*_]*(.*?)[*_]* +\| +([\d,]+) \| +([\d,]+) \|/gm)].map((row) =>
      row.slice(1),
    );
    expect(figures).toEqual(
      tables[0]!.rows.map(({ name }) => [
        name,
        ...tables.map(({ rows }) => {
          const { median } = rows.find((row) => row.name === name)!.cells['requests a second'];
          return Math.round(median).toLocaleString('en');
        }),
      ]),
    );
  });
});
