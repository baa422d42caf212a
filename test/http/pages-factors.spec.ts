import { beforeEach, describe, expect, it } from '@jest/globals';
import { hours, type AuthUser } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import { createUser, PLATFORMS } from '../support/app.js';
import { PAGES, PlainBrowser } from '../support/pages.js';
import { PasskeyClient } from '../support/passkeys.js';
import { sharedTestApp } from '../support/shared-app.js';

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
});
