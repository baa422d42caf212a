import { readFileSync } from 'node:fs';
import type { Browser, BrowserContext, Page } from 'playwright-core';

const AXE = readFileSync('node_modules/axe-core/axe.min.js', 'utf8');

/** A page in a browser of its own, and what that has complained of. */
export interface WatchedPage {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Errors in the console, reports of the policy among them, and requests to anybody but `allowed`. */
  readonly complaints: readonly string[];
}

/** `allowed`: what the addresses that are meant to be asked begin with. */
export async function openWatched(
  browser: Browser,
  allowed: readonly string[],
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<WatchedPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  // Before the time of the test is over, to say what it has waited for.
  page.setDefaultTimeout(8_000);
  const complaints: string[] = [];
  page.on('console', (message) => {
    // A refused form is answered 4xx, which Chromium logs.
    if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    if (![...allowed, 'data:'].some((start) => request.url().startsWith(start))) complaints.push(request.url());
  });
  return { context, page, complaints };
}

/** What axe finds in the page as it is now, and how wide it is in pixels. */
export async function lookedAt(page: Page): Promise<{ width: number; found: string[] }> {
  const [width, found] = (await page.evaluate(
    `(async () => { ${AXE}; const { violations } = await axe.run(document);
    return [document.documentElement.scrollWidth, violations.map(({ id, nodes }) => id + ': ' + nodes[0].html)]; })()`,
  )) as [number, string[]];
  return { width, found };
}
