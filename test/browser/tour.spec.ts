import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Mail } from 'nestjs-latchkey';
import { VirtualAuthenticator } from 'nestjs-latchkey/testing';
import type { Browser, Page } from 'playwright-core';
import { PLATFORMS } from '../support/app.js';
import { startBrowser } from '../support/browser.js';
import { startDemo, type Demo } from '../support/demo.js';
import { until } from '../support/heard.js';
import { openWatched } from '../support/watched-page.js';

describe.each(PLATFORMS)('the tour that npm start prints, on %s', (platform) => {
  let browser: Browser;
  let demo: Demo;
  beforeAll(async () => {
    [browser, demo] = await Promise.all([startBrowser(), startDemo(platform)]);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await demo?.stop();
  });

  it.each([
    ['with script', true],
    ['F88: without script, but for passkeys', false],
  ])(
    'can be followed as it is written, %s',
    async (_, javaScriptEnabled) => {
      const steps = demo.printed.split(/^ {2}(?=\d\. )/m).slice(1);
      expect(steps.map((step) => step[0])).toEqual(['1', '2', '3', '4', '5', '6']);
      let step = '';
      const complaints: (readonly string[])[] = [];
      /** In a browser of its own, which asks nobody but the demo. */
      const open = async (): Promise<Page> => {
        const watched = await openWatched(browser, [`http://localhost:${demo.port}/`], { javaScriptEnabled });
        complaints.push(watched.complaints);
        return watched.page;
      };
      const first = await open();
      let page = first;
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

      const other = await open();
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
      const newcomer = `newcomer-${javaScriptEnabled}@example.com`;
      await press('Sign out');
      await press('Create an account');
      await page.fill('#lk-email', newcomer);
      await page.fill('#lk-password', 'a password that is long');
      await page.click('form[action=register] button');
      await page.waitForURL(/confirm/);
      let mail: Mail | undefined;
      await until(async () => {
        const mails = (await (await fetch(part(/http:\S+\/demo\/mail/))).json()) as Mail[];
        mail = mails.find(({ to }) => to.address === newcomer);
        return mail !== undefined;
      });
      const [link] = /http:\S+#\S+/.exec(mail!.text)!;
      await page.goto(link);
      // No script takes it out of the address.
      if (!javaScriptEnabled) await page.fill('#lk-code', link);
      await press('Continue');
      await page.waitForURL(/account$/);

      step = steps[3]!;
      if (javaScriptEnabled) await VirtualAuthenticator.enable(await page.context().newCDPSession(page));
      await press('Authenticator app');
      await press('Set up');
      await page.locator('img.lk-qr').waitFor();
      await press('Cancel');
      await press('Passkeys');
      if (javaScriptEnabled) {
        await page.fill('#lk-name', 'Laptop');
        await press('Add a passkey');
        await page.waitForSelector('.lk-list');
      } else {
        await page.getByText('Passkeys need JavaScript.').waitFor();
      }
      await press('Your account');
      await press('Sign out');
      if (javaScriptEnabled) {
        await press('Sign in with a passkey');
        await page.waitForURL(/account$/);
        await press('Sign out');
      }

      // In another window: the authenticator of this one takes the first passkey that is suggested, and asks nobody.
      await page.waitForURL(/sign-in/);
      page = await open();
      await page.goto(first.url());
      step = steps[4]!;
      await signIn();
      expect(step).toContain('otpauth://totp/');
      // Each code counts once, and the other run is not long ago.
      const code = javaScriptEnabled
        ? await (await fetch(part(/http:\S+\/demo\/code/))).text()
        : /a backup code is (\S+)\n/.exec(step)![1]!;
      await page.check(`input[type=radio][value=${javaScriptEnabled ? 'totp' : 'backup-code'}]`);
      await page.fill('#lk-code', code);
      await page.click('form[action=two-factor] button');
      await page.waitForURL(/account$/);

      step = steps[5]!;
      await press('API keys');
      await page.fill('#lk-name', 'Backup');
      await page.locator('input[name=scopes]').first().check();
      await press('Make a key');
      await page.locator('#lk-key').waitFor();
      await press('Continue');
      await press('Your account');
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
      expect(complaints.flat()).toEqual([]);
    },
    60_000,
  );
});
