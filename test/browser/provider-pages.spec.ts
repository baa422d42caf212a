import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { hours } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import type { Browser } from 'playwright-core';
import { PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { startBrowser } from '../support/browser.js';
import { freePort } from '../support/free-port.js';
import { PAGES } from '../support/pages.js';
import { startTestProvider, TEST_CLIENT, type TestProvider } from '../support/test-provider.js';
import { lookedAt, openWatched, type WatchedPage } from '../support/watched-page.js';

const PROVIDER = 'button[formaction="provider?id=real"]';

describe.each(PLATFORMS)('the pages of logins at providers in Chromium, %s', (platform) => {
  let browser: Browser;
  let idp: TestProvider;
  let t: TestApp;
  let base: string;
  let watched: WatchedPage;

  beforeAll(async () => {
    const port = await freePort();
    const baseUrl = `http://localhost:${port}`;
    idp = await startTestProvider({ redirectUris: [`${baseUrl}/auth/oidc/real/callback`] });
    const providers = [{ id: 'real', label: 'Real', issuer: idp.issuer, ...TEST_CLIENT, signUp: true }];
    const flows = { ...PAGES.flows, oidc: { providers } };
    const auth = { ...PAGES, flows, session: { remembered: {} }, baseUrl, cookie: { secure: false } };
    [browser, t] = await Promise.all([startBrowser(), startTestApp({ platform, port, auth, startAt: Date.now() })]);
    base = `${baseUrl}/auth/p/`;
  });
  afterAll(async () => {
    await browser?.close();
    await t?.close();
    await idp?.close();
  });
  afterEach(() => watched?.context.close());

  /** A browser of somebody with an account at the provider. */
  const begin = async (sub: string, options: Parameters<Browser['newContext']>[0] = {}) => {
    const account = { sub, email: `${sub}@example.com`, email_verified: true };
    idp.browserOf(account);
    // The provider, whose clock is the machine's, is asked now.
    t.clock.advance(Math.max(0, Date.now() - t.clock.now()));
    const extraHTTPHeaders = { 'x-test-account': JSON.stringify(account) };
    watched = await openWatched(browser, [base.replace('/p/', '/'), idp.issuer], { extraHTTPHeaders, ...options });
    return { ...watched, email: account.email };
  };
  const signInAgo = async (email: string, age: number) => {
    const [{ id }] = (await t.db.query<{ id: string }>(`SELECT id FROM users WHERE email = '${email}'`)) as [
      { id: string },
    ];
    const [name, value] = (await signInAs(t.app, id, { age })).split(/=(.*)/s) as [string, string];
    await watched.context.addCookies([{ name, value, url: new URL('/', base).href }]);
  };

  it.each([
    ['without', false],
    ['with', true],
  ])('F88: %s script: signs in at the provider, stays signed in, and proves it there again', async (_, script) => {
    const { page, context, email, complaints } = await begin(`${platform}-${script}`, { javaScriptEnabled: script });
    for (const remember of [false, true]) {
      await page.goto(`${base}sign-in`);
      // Typed by mistake, or filled in by a password manager: a provider has nothing to do with it.
      await page.fill('#lk-email', email);
      await page.fill('#lk-password', PASSWORD);
      if (remember) await page.check(script ? '#lk-remember-on' : '#lk-remember-provider');
      const [sent] = await Promise.all([page.waitForRequest(/\/p\/provider\?id=real$/), page.click(PROVIDER)]);
      expect(sent.postData()).toBe(remember ? 'next=account&remember=on' : 'next=account');
      await page.waitForURL(`${base}account`);
      expect(await page.innerText('main')).toContain(email);
      const cookie = (await context.cookies(base)).find(({ name }) => name === 'session')!;
      expect([remember, cookie.expires > 0]).toEqual([remember, remember]);
      await page.click('form[action=sign-out] button');
    }
    await signInAgo(email, hours(1));
    await page.goto(`${base}email`);
    expect(page.url()).toBe(`${base}step-up?next=email`);
    await page.click('form[action="step-up-provider?id=real"] button');
    await page.waitForURL(`${base}email`);
    expect(await page.isVisible('#lk-email')).toBe(true);
    expect(complaints).toEqual([]);
  });

  // What a page looks like does not depend on the adapter.
  if (platform === PLATFORMS[0])
    it('F87: light and dark, on a phone: axe finds nothing, nothing overflows, no report of the policy, nobody else asked', async () => {
      for (const colorScheme of ['light', 'dark'] as const) {
        const look = { colorScheme, viewport: { width: 320, height: 640 } };
        const { page, email, complaints } = await begin(`seen-${colorScheme}`, look);
        const isFine = async (name: string) =>
          expect([name, await lookedAt(page)]).toEqual([name, { width: 320, found: [] }]);
        await page.goto(`${base}sign-in?error=ACCOUNT_EXISTS`);
        await isFine('sign-in');
        await page.click(PROVIDER);
        await page.waitForURL(`${base}account`);
        await page.goto(`${base}identities`);
        expect(await page.innerText('.lk-list')).toContain(email);
        await isFine('identities');
        await signInAgo(email, hours(1));
        await page.goto(`${base}step-up?next=email`);
        await isFine('step-up');
        // The page between stays where the provider's answer is none to show.
        await page.route(`${idp.issuer}/**`, (route) => route.fulfill({ status: 204 }));
        await page.click('form[action^="step-up-provider"] button');
        await page.waitForURL(/step-up-provider/);
        await isFine('leave');
        expect(complaints).toEqual([]);
        await watched.context.close();
      }
    });
});
