import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { codeBlocks, transcript } from './support/readme.js';

const readme = readFileSync('README.md', 'utf8');

describe('README', () => {
  it('its first program is test/app', () => {
    expect(codeBlocks(readme, 'ts')[0]).toBe(readFileSync('test/app/app.module.ts', 'utf8'));
  });

  it('every TypeScript block compiles against the published names', () => {
    const folder = 'test/readme-snippets';
    mkdirSync(folder, { recursive: true });
    const blocks = codeBlocks(readme, 'ts');
    blocks.forEach((block, i) => writeFileSync(`${folder}/${i === 0 ? 'app.module' : `snippet-${i}`}.ts`, block));
    writeFileSync(
      `${folder}/tsconfig.json`,
      JSON.stringify({
        extends: '../../tsconfig.json',
        compilerOptions: {
          paths: {
            'nestjs-latchkey': ['../../src/index.ts'],
            'nestjs-latchkey/redis': ['../../src/engines/redis/index.ts'],
            'nestjs-latchkey/testing': ['../../src/testing/index.ts'],
          },
        },
        include: ['*.ts'],
      }),
    );
    const compiled = spawnSync('node', ['node_modules/typescript/bin/tsc', '-p', folder], { encoding: 'utf8' });
    rmSync(folder, { recursive: true });
    expect(compiled.stdout).toBe('');
    expect(blocks.length).toBeGreaterThan(4);
  }, 60_000);

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

  it('the option tables name every option', async () => {
    const { CookieSettings, JwtSettings, PasswordSettings, SessionSettings } =
      await import('../src/config/auth-options.js');
    const { CacheSettings } = await import('../src/config/cache-options.js');
    const { CleanupSettings } = await import('../src/config/cleanup-options.js');
    const { AuditSettings } = await import('../src/config/audit-options.js');
    const groups = {
      session: new SessionSettings(),
      cookie: new CookieSettings(),
      jwt: new JwtSettings(),
      cache: new CacheSettings(),
      cleanup: new CleanupSettings(),
      audit: new AuditSettings(),
    };
    for (const [name, settings] of Object.entries(groups)) {
      for (const option of Object.keys(settings)) expect(readme).toContain(`\`${name}.${option}\``);
    }
    for (const option of Object.keys(new PasswordSettings()))
      expect(readme).toMatch(new RegExp(`\`(password\\.)?${option}\``));
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
