import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { hours } from 'nestjs-latchkey';
import { totpOf, VirtualAuthenticator } from 'nestjs-latchkey/testing';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { startBrowser } from '../support/browser.js';
import { freePort } from '../support/free-port.js';
import { newMails } from '../support/flows.js';
import { PAGES } from '../support/pages.js';
import { lookedAt, openWatched } from '../support/watched-page.js';

const NEW_PASSWORD = 'another horse battery';

describe.each(PLATFORMS)('the pages in Chromium, %s', (platform) => {
  let browser: Browser;
  let t: TestApp;
  let base: string;
  let context: BrowserContext;
  let page: Page;
  /** What the browser has complained of, and whom it has asked besides us. */
  let complaints: readonly string[];

  beforeAll(async () => {
    const port = await freePort();
    const session = { remembered: {} };
    const flows = { ...PAGES.flows, admin: {} };
    const auth = { ...PAGES, flows, session, baseUrl: `http://localhost:${port}`, cookie: { secure: false } };
    [browser, t] = await Promise.all([startBrowser(), startTestApp({ platform, port, auth, startAt: Date.now() })]);
    base = `http://localhost:${port}/auth/p/`;
  });
  afterAll(async () => {
    await browser?.close();
    await t?.close();
  });
  afterEach(() => context?.close());

  const begin = async (options: Parameters<Browser['newContext']>[0] = {}) => {
    ({ context, page, complaints } = await openWatched(browser, [base.slice(0, -2)], options));
  };
  const open = (name: string) => page.goto(base + name);
  const at = () => page.url().slice(base.length);
  const fill = (id: string, text: string) => page.fill(`#lk-${id}`, text);
  const press = (form: string) => page.click(`form[action="${form}"] button[type=submit]`);
  const signIn = async (email: string, password = PASSWORD) => {
    await open('sign-in');
    await fill('email', email);
    await fill('password', password);
    await press('sign-in');
  };
  const link = async (kind: string) => {
    const mail = (await newMails(t.app)).find((one) => one.kind === kind)!;
    return /http:\/\/\S+#\S+/.exec(mail.text)![0];
  };

  it('F88: without script: signs in, enrols an authenticator, signs in with it, proves it again for an API key, and resets the password', async () => {
    const { email } = await createUser(t.app);
    await begin({ javaScriptEnabled: false });
    await signIn(email);
    expect(at()).toBe('account');
    await page.click('a[href="authenticator"]');
    await press('authenticator');
    const secret = /Key: ([A-Z2-7]+)/.exec(await page.innerText('.lk-secret'))![1]!;
    await fill('code', totpOf(secret, t.clock));
    await press('authenticator-on');
    expect(await page.locator('.lk-codes li').count()).toBe(4);
    await open('account');
    await press('sign-out');
    t.clock.advance(60_000);
    await signIn(email);
    await page.check('input[type=radio][value=totp]');
    await fill('code', totpOf(secret, t.clock));
    await press('two-factor');
    expect(at()).toBe('account');
    // Long ago, as far as the session knows: an API key needs a proof, and leads back after it.
    t.clock.advance(hours(1));
    await page.click('a[href="api-keys"]');
    await fill('name', 'Backup');
    await page.check('input[name=scopes] >> nth=0');
    await press('api-keys');
    expect(at()).toBe('step-up?next=api-keys');
    await fill('password-password', PASSWORD);
    await page.click('form[action=step-up]:has(#lk-password-password) button');
    expect(at()).toBe('api-keys');
    await fill('name', 'Backup');
    await page.check('input[name=scopes] >> nth=0');
    await press('api-keys');
    expect(await page.innerText('#lk-key')).toMatch(/^\w+/);
    await open('account');
    await press('sign-out');
    await open('forgot');
    await fill('email', email);
    await press('forgot');
    const mailed = await link('password_reset');
    await page.goto(mailed);
    await fill('token', mailed);
    await fill('password', NEW_PASSWORD);
    await press('reset');
    expect(await page.innerText('[role=status]:not([hidden])')).toContain('Your password has been changed');
    expect(complaints).toEqual([]);
  });

  it('with script: the link’s token goes into the form and out of the address, a passkey is added and signs in', async () => {
    await begin();
    const email = `new-${platform}@example.com`;
    await open('register');
    await fill('email', email);
    await fill('password', NEW_PASSWORD);
    await press('register');
    await page.goto(await link('registration'));
    expect(at()).toBe('confirm');
    expect(await page.isVisible('#lk-code')).toBe(false);
    await press('confirm');
    expect(at()).toBe('account');
    const authenticator = await VirtualAuthenticator.enable(await context.newCDPSession(page));
    await open('passkeys');
    await fill('name', '<b>Laptop</b>');
    await page.click('form[data-passkey=create] button');
    await page.waitForSelector('.lk-list');
    expect(await page.innerText('.lk-list')).toContain('<b>Laptop</b>');
    expect(await authenticator.credentials()).toHaveLength(1);
    await page.click('.lk-list summary');
    expect((await lookedAt(page)).found).toEqual([]);
    await page.fill('.lk-list input', 'Desk');
    await page.click('.lk-list details button');
    await page.waitForURL(/passkeys\?renamed$/);
    expect(await page.innerText('.lk-list')).toContain('Desk');
    await open('account');
    await press('sign-out');
    for (const remember of [false, true]) {
      if (remember) await page.check('input[name=remember]');
      await page.click('form[data-passkey=login] button');
      await page.waitForURL(/account$/);
      expect(await page.innerText('main')).toContain(email);
      const cookie = (await context.cookies()).find(({ name }) => name === 'session');
      expect([remember, cookie!.expires > 0]).toEqual([remember, remember]);
      if (!remember) await press('sign-out');
    }
    expect(complaints).toEqual([]);
  });

  it('what is wrong has the focus and is read with its field', async () => {
    await begin();
    await fillWrong();
    expect(await page.evaluate('document.activeElement.id')).toBe('lk-password');
    const described = await page.getAttribute('#lk-password', 'aria-describedby');
    expect(described).toContain('lk-password-error');
    expect(complaints).toEqual([]);
  });

  const fillWrong = async () => {
    await open('register');
    await fill('email', 'wrong@example.com');
    await fill('password', 'short');
    await press('register');
    expect(await page.innerText('[role=alert]')).not.toBe('');
  };
});
