import { beforeEach, describe, expect, it } from '@jest/globals';
import { hours, type AuthUser } from 'nestjs-latchkey';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { PAGES, PlainBrowser, type PageAnswer } from '../support/pages.js';
import { sharedTestApp } from '../support/shared-app.js';

const BOX = 'name="remember"';

describe.each(PLATFORMS)('"remember me" on the pages, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: { ...PAGES, session: { remembered: { ttl: hours(30 * 24) } } } });
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

  it('a box that was ticked is still ticked when the form is shown again', async () => {
    const { status, text } = await browser.post('ask-link', { email: '', remember: 'on' });
    expect(status).toBe(422);
    expect(text).toMatch(/name="remember" value="on"\s+checked/);
  });
});

describe('"remember me", where there is nothing to choose', () => {
  const t = sharedTestApp({ auth: PAGES });

  it('no page has the box', async () => {
    const browser = new PlainBrowser(t.url);
    for (const page of ['sign-in', 'ask-link']) expect((await browser.open(page)).text).not.toContain(BOX);
  });
});
