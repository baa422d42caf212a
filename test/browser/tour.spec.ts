import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Mail } from 'nestjs-latchkey';
import { VirtualAuthenticator } from 'nestjs-latchkey/testing';
import type { Browser, Page } from 'playwright-core';
import { startBrowser } from '../support/browser.js';
import { startDemo, type Demo } from '../support/demo.js';
import { until } from '../support/heard.js';

let browser: Browser;
let demo: Demo;
beforeAll(async () => {
  [browser, demo] = await Promise.all([startBrowser(), startDemo()]);
}, 60_000);
afterAll(async () => {
  await browser?.close();
  await demo?.stop();
});

it('the tour that npm start prints can be followed as it is written', async () => {
  const steps = demo.printed.split(/^ {2}(?=\d\. )/m).slice(1);
  expect(steps.map((step) => step[0])).toEqual(['1', '2', '3', '4', '5', '6']);
  let step = '';
  let page: Page = await browser.newPage();
  const first = page;
  /** A label is only used if the step names it. */
  const named = (label: string) => {
    expect(step).toContain(`“${label}”`);
    return label;
  };
  const part = (pattern: RegExp) => pattern.exec(step)![0];
  const press = (label: string) =>
    page
      .locator('button:visible, main a:visible')
      .filter({ hasText: new RegExp(`^\\s*${named(label)}\\s*$`) })
      .first()
      .click();
  const isAt = (title: string) =>
    page
      .locator('h1, h2', { hasText: named(title) })
      .first()
      .waitFor();
  const signIn = async () => {
    const [, email, password] = /(\S+@\S+) \/ (.+)/.exec(step)!;
    await page.fill('#lk-email', email!);
    await page.fill('#lk-password', password!);
    await page.click('form[action=sign-in] button');
  };

  [step] = steps as [string];
  await page.goto(part(/http:\S+/));
  await signIn();
  await isAt('Your account');

  const other = await browser.newPage();
  await other.goto(page.url());
  page = other;
  await signIn();
  step = steps[1]!;
  page = first;
  await page.reload();
  await isAt('Where you are signed in');
  await page
    .locator('.lk-list')
    .getByRole('button', { name: /Sign out/ })
    .filter({ hasText: named('Sign out') })
    .click();
  await other.locator('main a').first().click();
  await other.waitForURL(/sign-in/);

  step = steps[2]!;
  await press('Sign out');
  await press('Create an account');
  await page.fill('#lk-email', 'newcomer@example.com');
  await page.fill('#lk-password', 'a password that is long');
  await page.click('form[action=register] button');
  await page.waitForURL(/confirm/);
  let mail: Mail | undefined;
  await until(async () => {
    const mails = (await (await fetch(part(/http:\S+\/demo\/mail/))).json()) as Mail[];
    mail = mails.find(({ to }) => to.address === 'newcomer@example.com');
    return mail !== undefined;
  });
  await page.goto(/http:\S+#\S+/.exec(mail!.text)![0]);
  await press('Continue');
  await page.waitForURL(/account$/);

  step = steps[3]!;
  await VirtualAuthenticator.enable(await page.context().newCDPSession(page));
  await press('Passkeys');
  await page.fill('#lk-name', 'Laptop');
  await press('Add a passkey');
  await page.waitForSelector('.lk-list');
  await press('Your account');
  await press('Sign out');
  await press('Sign in with a passkey');
  await page.waitForURL(/account$/);
  await press('Sign out');

  // In another window: the authenticator of this one takes the first passkey that is suggested, and asks nobody.
  await page.waitForURL(/sign-in/);
  page = await browser.newPage();
  await page.goto(first.url());
  step = steps[4]!;
  await signIn();
  expect(step).toMatch(/a backup code is \S+\n/);
  expect(step).toContain('otpauth://totp/');
  const code = await (await fetch(part(/http:\S+\/demo\/code/))).text();
  await page.check('input[type=radio][value=totp]');
  await page.fill('#lk-code', code);
  await page.click('form[action=two-factor] button');
  await page.waitForURL(/account$/);

  step = steps[5]!;
  await press('Authenticator app');
  await isAt('Backup codes');
  await isAt('Trusted browsers');
  await press('Your account');
  await press('Administration');
  await isAt('Accounts');
  await isAt('Health');
  await press('Events');
  await page.waitForURL(/admin-events$/);
  await press('Used up limits');
  await page.waitForURL(/admin-limits$/);
  await press('Your account');
  await press('Sign out everywhere');
  await page.waitForURL(/sign-in/);
}, 60_000);
