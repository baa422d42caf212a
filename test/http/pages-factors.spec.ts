import { beforeEach, describe, expect, it } from '@jest/globals';
import { days, hours, seconds, type AuthUser } from 'nestjs-latchkey';
import { signInAs, totpOf } from 'nestjs-latchkey/testing';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { PAGES, PlainBrowser } from '../support/pages.js';
import { PasskeyClient } from '../support/passkeys.js';
import { sharedTestApp } from '../support/shared-app.js';
import { enrol } from '../support/two-factor.js';

describe.each(PLATFORMS)('the pages of passkeys and of the second factor, without script, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: PAGES });
  let ada: AuthUser;
  let browser: PlainBrowser;
  beforeEach(async () => {
    t.clock.advance(hours(1));
    ada = await createUser(t.app);
    browser = new PlainBrowser(t.url);
  });

  describe('a passkey', () => {
    const own = async (name: string) => {
      const client = new PasskeyClient(t);
      const { id } = await client.register(ada, { name });
      browser.take(await client.signIn(ada));
      return id;
    };
    const names = async () =>
      [...(await browser.open('passkeys')).text.matchAll(/<bdi>([^<]*)/g)].map(([, one]) => one);

    it('F88: gets another name by a form of its own, which has the present one', async () => {
      const id = await own('Phone');
      const { text } = await browser.open('passkeys');
      expect(text).toContain('aria-label="Rename Phone"');
      expect(text).toMatch(new RegExp(`action="passkeys-rename\\?id=${id}"[\\s\\S]*value="Phone"`));
      const renamed = await browser.post(`passkeys-rename?id=${id}`, { name: '<b>Old phone</b>' });
      expect(renamed).toMatchObject({ status: 303, to: 'passkeys?renamed' });
      expect((await browser.open('passkeys?renamed')).text).toMatch(/role="status">The passkey has its new name/);
      expect(await names()).toEqual(['&lt;b&gt;Old phone&lt;/b&gt;']);
    });

    it('keeps its name if the new one is refused, and the form is open again with what was typed', async () => {
      const id = await own('Phone');
      const spaces = ' '.repeat(3);
      const refused = await browser.post(`passkeys-rename?id=${id}`, { name: spaces });
      expect(refused.status).toBe(422);
      expect(refused.text).toMatch(/<details\s+open>/);
      expect(refused.text).toContain(`value="${spaces}"`);
      expect(refused.text).toContain(`id="lk-name-${id}-error"`);
      expect(await names()).toEqual(['Phone']);
      expect((await browser.open('passkeys')).text).not.toMatch(/<details\s+open>/);
    });

    it('R16: is renamed by nobody else', async () => {
      const id = await own('Phone');
      const eve = new PlainBrowser(t.url);
      expect((await eve.post(`passkeys-rename?id=${id}`, { name: 'Mine' })).to).toBe('sign-in?again&next=passkeys');
      eve.take(await signInAs(t.app, (await createUser(t.app)).id));
      for (const query of [`?id=${id}`, '?id=none', '?id[]=1', '']) {
        expect([query, (await eve.post(`passkeys-rename${query}`, { name: 'Mine' })).status]).toEqual([query, 404]);
      }
      const foreign = { 'Sec-Fetch-Site': 'cross-site' };
      expect((await browser.post(`passkeys-rename?id=${id}`, { name: 'Mine' }, foreign)).status).toBe(403);
      expect(await names()).toEqual(['Phone']);
    });
  });

  describe('trusted browsers', () => {
    const signIn = async (trust: boolean) => {
      const { to } = await browser.post('sign-in', { email: ada.email, password: PASSWORD });
      if (to === 'account') return false;
      const kept = { method: ['totp'], chosen: 'totp', code: totpOf(secret, t.clock), next: 'account' };
      const { status } = await browser.post('two-factor', { ...kept, ...(trust && { trust: 'on' }) });
      expect(status).toBe(303);
      t.clock.advance(seconds(30));
      return true;
    };
    const counted = async () => /left out: (\d+)/.exec((await browser.open('authenticator')).text)![1];
    let secret: string;
    beforeEach(async () => {
      ({ secret } = await enrol(t, ada));
    });

    it('F88: are counted, and forgotten all at once: then the second step is due again', async () => {
      expect(await signIn(false)).toBe(true);
      expect(await counted()).toBe('0');
      expect((await browser.open('authenticator')).text).not.toContain('authenticator-forget-browsers');
      await browser.post('sign-out');
      expect([await signIn(true), await signIn(true)]).toEqual([true, false]);
      expect(await counted()).toBe('1');
      expect((await browser.open('authenticator')).text).toContain('action="authenticator-forget-browsers"');
      expect(await browser.post('authenticator-forget-browsers')).toMatchObject({
        status: 303,
        to: 'authenticator?forgotten',
      });
      expect((await browser.open('authenticator?forgotten')).text).toMatch(/role="status">The second step is due/);
      expect(await counted()).toBe('0');
      expect(await signIn(false)).toBe(true);
    });

    it('R16: are forgotten by nobody else', async () => {
      await signIn(true);
      const eve = new PlainBrowser(t.url);
      expect((await eve.post('authenticator-forget-browsers')).to).toBe('sign-in?again&next=authenticator');
      eve.take(await signInAs(t.app, (await createUser(t.app)).id));
      expect((await eve.post('authenticator-forget-browsers')).status).toBe(303);
      const foreign = { 'Sec-Fetch-Site': 'cross-site' };
      expect((await browser.post('authenticator-forget-browsers', {}, foreign)).status).toBe(403);
      expect(await counted()).toBe('1');
    });
  });
});

describe('the page of the second factor shows what there is', () => {
  const flows = { twoFactor: { emailCode: {}, trustedBrowsers: days(30) }, passwordReset: {}, pages: {} };
  const t = sharedTestApp({ auth: { ...PAGES, flows } });

  it('trusted browsers alone, where there are no authenticator apps', async () => {
    const browser = new PlainBrowser(t.url);
    browser.take(await signInAs(t.app, (await createUser(t.app)).id));
    expect((await browser.open('account')).text).toContain('<a href="authenticator">Trusted browsers</a>');
    const { text } = await browser.open('authenticator');
    expect(text).toContain('left out: 0');
    expect(text).not.toContain('action="authenticator"');
  });
});
