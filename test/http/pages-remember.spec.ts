import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { hours, type AuthUser } from 'nestjs-latchkey';
import { MemoryMailer, totpOf } from 'nestjs-latchkey/testing';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { PAGES, PlainBrowser, type PageAnswer } from '../support/pages.js';
import { sharedTestApp } from '../support/shared-app.js';
import { startStubProvider, STUB_CLIENT } from '../support/stub-provider.js';
import { enrol } from '../support/two-factor.js';

const BOX = 'name="remember"';

const stub = await startStubProvider();
afterAll(() => stub.close());
const providers = [{ id: 'stub', issuer: stub.issuer, ...STUB_CLIENT, signUp: true }];
const AUTH = { ...PAGES, flows: { ...PAGES.flows, oidc: { providers } } };

describe.each(PLATFORMS)('"remember me" on the pages, on %s', (platform) => {
  const auth = { ...AUTH, session: { remembered: { ttl: hours(30 * 24) } } };
  const t = sharedTestApp({ platform, auth, startAt: Date.now() });
  let ada: AuthUser;
  let browser: PlainBrowser;
  beforeEach(async () => {
    ada = await createUser(t.app);
    browser = new PlainBrowser(t.url);
  });
  const isPersistent = ({ headers }: PageAnswer) =>
    /Max-Age=/.test(headers.getSetCookie().find((cookie) => cookie.startsWith('__Host-session='))!);

  it.each([true, false])('the box of the form decides (%s): by password, and by mailed link', async (isTicked) => {
    const box: Record<string, string> = isTicked ? { remember: 'on' } : {};
    const byPassword = await browser.post('sign-in', { email: ada.email, password: PASSWORD, ...box });
    expect([byPassword.status, isPersistent(byPassword)]).toEqual([303, isTicked]);
    expect((await browser.open('ask-link')).text).toContain(BOX);
    await browser.post('ask-link', { email: ada.email, ...box });
    const { code } = (await MemoryMailer.of(t.app)).last('magic_link');
    const byLink = await browser.post('link', { code: code! });
    expect([byLink.status, isPersistent(byLink)]).toEqual([303, isTicked]);
  });

  it.each([true, false])(
    'the box of their form decides for providers (%s), through a second step too',
    async (isTicked) => {
      const { text } = await browser.open('sign-in');
      const forms = [...text.matchAll(/<form\s[\s\S]*?<\/form>/g)].map(([form]) => form);
      const own = forms.filter((form) => form.includes('formaction="provider?id=stub"'));
      expect([own.length, own[0]!.split(BOX).length - 1]).toEqual([1, 1]);
      const sub = `${platform}-${isTicked}`;
      const email = `${sub}@example.com`;
      const enter = async () => {
        const sent = { next: '/notes', ...(isTicked && { remember: 'on' }) };
        const leave = await browser.post('provider?id=stub', sent);
        const [, url] = /content="0;url=([^"]+)"/.exec(leave.text)!;
        const now = Math.floor(t.clock.now() / 1000);
        const claims = { sub, email, email_verified: true, iat: now, exp: now + 300, auth_time: now };
        const { pathname, search } = new URL(stub.authorize(url!.replaceAll('&amp;', '&'), claims));
        return browser.open(pathname + search);
      };
      const first = await enter();
      expect([first.to, isPersistent(first)]).toEqual(['/notes', isTicked]);
      const [{ id }] = (await t.db.query(`SELECT id FROM users WHERE email = '${email}'`)) as [{ id: string }];
      const { secret } = await enrol(t, { id, email });
      browser.cookies.clear();
      expect((await enter()).to).toContain('two-factor?method=totp');
      const code = totpOf(secret, t.clock);
      const second = await browser.post('two-factor', { method: ['totp'], chosen: 'totp', code, next: '/notes' });
      expect([second.to, isPersistent(second)]).toEqual(['/notes', isTicked]);
    },
  );

  it('a box that was ticked is still ticked when the form is shown again', async () => {
    const { status, text } = await browser.post('ask-link', { email: '', remember: 'on' });
    expect(status).toBe(422);
    expect(text).toMatch(/name="remember" value="on"\s+checked/);
  });
});

describe('"remember me", where there is nothing to choose', () => {
  const t = sharedTestApp({ auth: AUTH });

  it('no page has the box', async () => {
    const browser = new PlainBrowser(t.url);
    for (const page of ['sign-in', 'ask-link']) expect((await browser.open(page)).text).not.toContain(BOX);
  });
});
