import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, posix } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { chromium, type Browser, type Page } from 'playwright-core';
import { filesIn } from '../support/docs.js';

const SITE = 'docs/.vitepress/dist';
const AXE = readFileSync('node_modules/axe-core/axe.min.js', 'utf8');
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 800 };
const LOOKS = (['light', 'dark'] as const).flatMap((colorScheme) =>
  [PHONE, DESKTOP].map((viewport) => ({ colorScheme, viewport })),
);
type Look = (typeof LOOKS)[number];

/** What `npm run docs` has built, as any web server would serve it, in the Chromium of the machine. */
describe('documentation site in a browser', () => {
  let server: Server;
  let browser: Browser;
  let origin: string;
  let files: string[];

  beforeAll(async () => {
    if (!existsSync(SITE)) {
      const { status, stderr } = spawnSync('npm', ['run', 'docs'], { encoding: 'utf8', shell: true });
      if (status !== 0) throw new Error(stderr);
    }
    files = filesIn(SITE, /\.html$/).map((path) => path.slice(SITE.length + 1));
    server = createServer(({ url }, response) => {
      const path = decodeURIComponent(new URL(url!, 'http://localhost').pathname);
      const file = join(SITE, path.endsWith('/') ? `${path}index.html` : path);
      const found = [file, `${file}.html`].find((name) => existsSync(name) && extname(name) !== '');
      response.writeHead(found ? 200 : 404, {
        'Content-Type': TYPES[extname(found ?? '')] ?? 'application/octet-stream',
      });
      response.end(found && readFileSync(found));
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await chromium.launch({
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      args: ['--no-sandbox'],
    });
  }, 300_000);

  afterAll(async () => {
    await browser?.close();
    server?.closeAllConnections();
    await new Promise((closed) => server?.close(closed));
  });

  /** A tab, and what it should not have done. */
  async function open(): Promise<{ tab: Page; problems: string[] }> {
    const context = await browser.newContext({ viewport: DESKTOP, reducedMotion: 'reduce' });
    const tab = await context.newPage();
    const problems: string[] = [];
    tab.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') problems.push(`${tab.url()}: ${message.text()}`);
    });
    tab.on('pageerror', (error) => problems.push(`${tab.url()}: ${error.message}`));
    tab.on('request', (request) => {
      if (!/^(?:data|blob):/.test(request.url()) && !request.url().startsWith(`${origin}/`))
        problems.push(`${tab.url()} asks ${request.url()}`);
    });
    tab.on('response', (response) => {
      if (response.status() >= 400) problems.push(`${tab.url()}: ${response.status()} for ${response.url()}`);
    });
    await tab.addInitScript({ content: AXE });
    return { tab, problems };
  }

  async function visit(tab: Page, file: string): Promise<void> {
    await tab.goto(`${origin}/${file}`, { waitUntil: 'load' });
    // Set when Vue has taken over the page.
    await tab.waitForFunction('Boolean(document.querySelector("#app")?.__vue_app__)');
  }

  async function look(tab: Page, { colorScheme, viewport }: Look, without: readonly string[] = []): Promise<string[]> {
    await tab.emulateMedia({ colorScheme });
    await tab.setViewportSize(viewport);
    await tab.waitForFunction(`document.documentElement.classList.contains('dark') === ${colorScheme === 'dark'}`);
    const name = `${tab.url()} (${colorScheme}, ${viewport.width})`;
    return [...(await overflow(tab)), ...(await violations(tab, without))].map((problem) => `${name}: ${problem}`);
  }

  async function overflow(tab: Page): Promise<string[]> {
    const [needed, there] = (await tab.evaluate('[document.documentElement.scrollWidth, innerWidth]')) as number[];
    return needed! > there! ? [`${needed} pixels wide`] : [];
  }

  async function violations(tab: Page, without: readonly string[]): Promise<string[]> {
    const rules = Object.fromEntries(without.map((rule) => [rule, { enabled: false }]));
    const options = { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'], resultTypes: ['violations'], rules };
    const found = (await tab.evaluate(`axe.run(document, ${JSON.stringify(options)}).then(({ violations }) =>
      violations.map(({ id, nodes }) => id + ': ' + nodes.length + ' x ' + nodes[0].html.slice(0, 200) + ' ' +
        nodes[0].target + ' ' + (nodes[0].any[0]?.message ?? '')))`)) as string[];
    return found;
  }

  /** Two tabs share the work. */
  async function inTwoTabs(all: readonly string[], work: (tab: Page, file: string, at: number) => Promise<string[]>) {
    const found: string[] = [];
    const left = [...all.entries()];
    const share = async () => {
      const { tab, problems } = await open();
      for (let next = left.shift(); next; next = left.shift()) found.push(...(await work(tab, next[1], next[0])));
      await tab.context().close();
      found.push(...problems);
    };
    await Promise.all([share(), share()]);
    return found;
  }

  const isApi = (file: string) => file.startsWith('api/');
  const kept = () => files.filter((file) => !isApi(file) && file !== '404.html');

  it('every link, with its anchor, leads to a page of the site', () => {
    const html = new Map(files.map((file) => [file, readFileSync(join(SITE, file), 'utf8')]));
    const ids = new Map(
      [...html].map(([file, text]) => [file, new Set([...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id!))]),
    );
    const dead: string[] = [];
    let count = 0;
    for (const [file, text] of html) {
      for (const [, link] of text.matchAll(/<a\b[^>]* href="([^"]+)"/g)) {
        if (/^[a-z]+:/.test(link!)) continue;
        count++;
        const [path, hash] = link!.split('#').map(decodeURIComponent) as [string, string?];
        const to = path === '' ? file : posix.join(path.startsWith('/') ? '' : posix.dirname(file), path);
        const target = to.replace(/^\//, '').replace(/(^|\/)$/, '$1index.html');
        const found = ids.get(target) ?? ids.get(`${target}.html`);
        if (!found || (hash !== undefined && hash !== '' && !found.has(hash))) dead.push(`${file}: ${link}`);
      }
    }
    expect([...new Set(dead)]).toEqual([]);
    expect(count).toBeGreaterThan(5_000);
  });

  it('W1: a page of ours, light and dark, on a phone and a desktop: nothing overflows, and axe finds nothing', async () => {
    expect(kept().length).toBeGreaterThan(35);
    const problems = await inTwoTabs(kept(), async (tab, file, at) => {
      await visit(tab, file);
      // They are made alike: the first in all looks, the others each in one, in turn, and all at the width of a phone.
      const found: string[] = [];
      for (const one of at === 0 ? LOOKS : [LOOKS[at % LOOKS.length]!]) found.push(...(await look(tab, one)));
      await tab.setViewportSize(PHONE);
      return [...found, ...(await overflow(tab)).map((problem) => `${file}: ${problem}`)];
    });
    expect(problems).toEqual([]);
  }, 900_000);

  it('W1: a page of the API: nothing overflows on a phone; one in 48 looked at as those of ours, in turn', async () => {
    const api = files.filter(isApi);
    expect(api.length).toBeGreaterThan(300);
    // These even more so: every sixth one.
    const some = api.filter((_, at) => at % 6 === 0);
    const problems = await inTwoTabs(some, async (tab, file, at) => {
      await visit(tab, file);
      if (at % 8 === 0) return look(tab, LOOKS[(at / 8) % LOOKS.length]!);
      await tab.setViewportSize(PHONE);
      return (await overflow(tab)).map((problem) => `${file}: ${problem}`);
    });
    expect(problems).toEqual([]);
  }, 900_000);

  it('W1: the search finds a word without a network, and it and the menu of a phone are as readable', async () => {
    const { tab, problems } = await open();
    await visit(tab, 'index.html');
    const found: string[] = [];
    await tab.click('.DocSearch-Button');
    await tab.waitForSelector('.VPLocalSearchBox input');
    await tab.fill('.VPLocalSearchBox input', 'x'); // the index is loaded now
    await tab.waitForFunction(
      'performance.getEntriesByType("resource").some(({ name }) => name.includes("localSearchIndex"))',
    );
    await tab.context().setOffline(true);
    await tab.fill('.VPLocalSearchBox input', 'citext');
    await tab.waitForSelector('.VPLocalSearchBox .result');
    expect(await tab.locator('.VPLocalSearchBox .result').first().getAttribute('href')).toMatch(/\.html#/);
    // VitePress' own: the options of its list are links, in a box with the role of a button.
    for (const one of LOOKS) found.push(...(await look(tab, one, ['nested-interactive'])));
    await tab.keyboard.press('Escape');
    await tab.context().setOffline(false);
    await tab.setViewportSize(PHONE);
    await tab.click('.VPLocalNav .menu');
    for (const colorScheme of ['light', 'dark'] as const)
      found.push(...(await look(tab, { colorScheme, viewport: PHONE })));
    await tab.context().close();
    expect([...found, ...problems]).toEqual([]);
  }, 300_000);

  it('what is too wide, too pale or from elsewhere is found (negative control)', async () => {
    const { tab, problems } = await open();
    await visit(tab, 'start.html');
    await tab.evaluate(`document.querySelector('.vp-doc').insertAdjacentHTML('beforeend',
      '<p style="width: 2000px; color: #ccc; background: #fff">pale</p><img src="https://example.invalid/x.png" alt="x">')`);
    const found = await look(tab, { colorScheme: 'light', viewport: PHONE });
    await tab.context().close();
    expect(found.join()).toMatch(/pixels wide/);
    expect(found.join()).toMatch(/color-contrast/);
    expect(problems.join()).toMatch(/asks https:\/\/example\.invalid\/x\.png/);
  }, 300_000);
});
