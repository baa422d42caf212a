import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { anchors, brokenLinks, filesIn, page, pages, snippets } from '../support/docs.js';
import { exampleProgram, examplesOf } from '../support/examples.js';

const all = pages();
const docs = all.filter(({ path }) => path.startsWith('docs/'));

describe('documentation', () => {
  it('every TypeScript block compiles against the published names', () => {
    const folder = 'test/doc-snippets';
    rmSync(folder, { recursive: true, force: true });
    let count = 0;
    for (const { path, text } of all) {
      const own = `${folder}/${path.replaceAll(/[^\w-]/g, '_')}`;
      for (const { code, source } of snippets(text)) {
        if (source !== undefined) continue;
        mkdirSync(own, { recursive: true });
        // What a page's own files are called there: the program of the README stands beside every snippet.
        writeFileSync(`${own}/app.module.ts`, readFileSync('test/app/app.module.ts'));
        writeFileSync(`${own}/snippet-${count++}.ts`, code);
      }
    }
    const config = { extends: '../../tsconfig.json', include: ['**/*.ts'] };
    writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config));
    const compiled = spawnSync('node', ['node_modules/typescript/bin/tsc', '-p', folder], { encoding: 'utf8' });
    rmSync(folder, { recursive: true });
    expect(compiled.stdout).toBe('');
    expect(count).toBeGreaterThan(15);
  }, 120_000);

  it('every @example of a doc comment compiles', () => {
    const folder = 'test/doc-examples';
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    const sources = filesIn('src', /(?<!\.spec)\.ts$/);
    const examples = sources.flatMap((path) => examplesOf(page(path)).map((code) => ({ path, code })));
    examples.forEach(({ path, code }, i) => {
      writeFileSync(`${folder}/${path.replaceAll(/[^\w-]/g, '_')}_${i}.ts`, exampleProgram(code));
    });
    // Negative control: the last file of all.
    writeFileSync(`${folder}/wrong.ts`, exampleProgram("await sessionService.revoked('id');"));
    const config = {
      extends: '../../tsconfig.json',
      compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
    };
    writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ ...config, include: ['**/*.ts'] }));
    const compiled = spawnSync('node', ['node_modules/typescript/bin/tsc', '-p', folder], { encoding: 'utf8' });
    rmSync(folder, { recursive: true });
    const mistakes = compiled.stdout.split('\n').filter((line) => line !== '');
    expect(mistakes.filter((line) => !line.includes('/wrong.ts'))).toEqual([]);
    expect(mistakes).toHaveLength(1);
    expect(examples.length).toBeGreaterThan(40);
  }, 120_000);

  it('a block that shows a file is that file', () => {
    const shown = all.flatMap(({ path, text }) =>
      snippets(text).flatMap(({ source, code }) => (source === undefined ? [] : [{ path, source, code }])),
    );
    for (const { path, source, code } of shown)
      expect({ path, source, code }).toEqual({ path, source, code: page(source) });
    expect(shown.length).toBeGreaterThan(2);
  });

  it('every link leads to a file or heading that exists', () => {
    expect(all.flatMap(brokenLinks)).toEqual([]);
  });

  it('a link to nowhere is found (negative control)', () => {
    const text =
      '# A `b` of C\n\n[one](options.md) [two](gone.md) [three](options.md#gone) [four](#a-b-of-c) [five](#gone)\n';
    expect(brokenLinks({ path: 'docs/x.md', text })).toEqual([
      'docs/x.md: gone.md',
      'docs/x.md: options.md#gone',
      'docs/x.md: #a-b-of-c', // a page that is not there has no headings
      'docs/x.md: #gone',
    ]);
    expect([...anchors(`${text}# A b of C`)]).toEqual(['a-b-of-c', 'a-b-of-c-1']);
  });

  it('the index links every page', () => {
    const index = page('docs/README.md');
    const missing = docs.map(({ path }) => path.slice('docs/'.length)).filter((path) => !index.includes(`](${path}`));
    expect(missing).toEqual(['README.md']);
  });

  it('the option tables name every option', async () => {
    const { SessionSettings } = await import('../../src/config/session-settings.js');
    const { CookieSettings } = await import('../../src/config/cookie-settings.js');
    const { PasswordSettings } = await import('../../src/config/password-settings.js');
    const { JwtSettings } = await import('../../src/config/jwt-settings.js');
    const { CacheSettings } = await import('../../src/config/cache-settings.js');
    const { CleanupSettings } = await import('../../src/config/cleanup-settings.js');
    const { MailSettings } = await import('../../src/config/mail-settings.js');
    const { AuditSettings } = await import('../../src/config/audit-settings.js');
    const groups = {
      session: new SessionSettings(),
      cookie: new CookieSettings(),
      jwt: new JwtSettings(),
      cache: new CacheSettings(),
      cleanup: new CleanupSettings(),
      audit: new AuditSettings(),
      mail: new MailSettings(),
    };
    const options = page('docs/options.md');
    for (const [name, settings] of Object.entries(groups)) {
      for (const option of Object.keys(settings)) expect(options).toContain(`\`${name}.${option}\``);
    }
    for (const option of Object.keys(new PasswordSettings()))
      expect(options).toMatch(new RegExp(`\`(password\\.)?${option}\``));
  });

  it('the limits and lifetimes are the defaults', async () => {
    const { RateLimitSettings } = await import('../../src/config/rate-limit-settings.js');
    const { EphemeralTokenSettings } = await import('../../src/config/ephemeral-token-settings.js');
    const limits = page('docs/rate-limits.md');
    for (const [event, { limit, window }] of Object.entries(new RateLimitSettings().policies))
      expect(limits).toMatch(new RegExp(`^\\| \`${event}\` +\\| +${limit} in ${window / 60_000} minutes \\|`, 'm'));
    const tokens = page('docs/tokens.md');
    for (const [type, { ttl, binding, onePerUser }] of Object.entries(new EphemeralTokenSettings())) {
      const [, , , lifetime, bound, one] = new RegExp(`^\\| \`${type}\` .*`, 'm')
        .exec(tokens)![0]
        .split('|')
        .map((cell) => cell.trim());
      expect({ type, lifetime, bound, one }).toEqual({
        type,
        lifetime: inWords(ttl),
        bound: binding === undefined ? '' : `\`${binding}\``,
        one: onePerUser ? 'yes' : '',
      });
    }
  });

  it('the table of environments is the matrix of CI, and its configurations are the tested ones', async () => {
    const matrix = '../../.ci/matrix/rows.mjs';
    const { rows } = (await import(matrix)) as { rows: { name: string; does: string; after?: string[] }[] };
    const text = page('docs/environments.md');
    const shown = [...text.matchAll(/^\| `([\w.-]+)` +\| (.+?) +\|$/gm)].map(([, name, does]) => ({ name, does }));
    const tested = rows.filter(({ does }) => !does.startsWith('Nothing of ours'));
    expect(shown).toEqual(tested.map(({ name, does }) => ({ name, does })));
    const names = rows.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(rows.flatMap(({ after = [] }) => after)));
    const configurations = [...text.matchAll(/^<!-- (\S+) -->\n\n```js\n(.*?)^```/gms)];
    expect(configurations).toHaveLength(2);
    for (const [, path, code] of configurations) expect(code).toBe(page(path!));
  });

  it('the table of errors is the one of the code', async () => {
    const answers = [...page('src/auth.errors.ts').matchAll(/^ {2}([A-Z_]+): \{ status: (\d+)/gm)].map(
      ([, code, status]) => [code, status],
    );
    const shown = [...page('docs/errors.md').matchAll(/^\| `([A-Z_]+)` +\| +(\d+) \|/gm)].map((row) => row.slice(1));
    expect(shown).toEqual(answers);
    expect(shown.length).toBeGreaterThan(10);
  });
});

/** In the largest unit that leaves no rest. */
function inWords(ttl: number): string {
  if (ttl % 86_400_000 === 0 && ttl > 86_400_000) return `${ttl / 86_400_000} days`;
  if (ttl % 3_600_000 === 0) return ttl === 3_600_000 ? '1 hour' : `${ttl / 3_600_000} hours`;
  return `${ttl / 60_000} minutes`;
}
