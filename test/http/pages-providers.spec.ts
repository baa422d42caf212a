import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { hours, minutes, type AuthUser } from 'nestjs-latchkey';
import { IdentityStore } from 'nestjs-latchkey/engine';
import { signInAs, totpOf } from 'nestjs-latchkey/testing';
import { createUser, NO_LOGIN_LIMITS, PASSWORD, PLATFORMS, startTestApp } from '../support/app.js';
import { identityOf } from '../support/identities.js';
import { PAGES, PlainBrowser, type PageAnswer } from '../support/pages.js';
import { mailTo } from '../support/registration.js';
import { sharedTestApp } from '../support/shared-app.js';
import { startStubProvider, STUB_CLIENT } from '../support/stub-provider.js';
import { enrol } from '../support/two-factor.js';

const stub = await startStubProvider();
afterAll(() => stub.close());
const providers = [
  { id: 'stub', label: 'Stub <b>', issuer: stub.issuer, ...STUB_CLIENT, signUp: true },
  { id: 'dead', label: 'Dead $&', issuer: 'http://localhost:1', clientId: 'notes', stepUp: false },
];
const AUTH = {
  ...PAGES,
  // As in the docs: the pages know better where the end of a login is.
  loginPage: '/auth/p/sign-in',
  rateLimits: NO_LOGIN_LIMITS,
  flows: { ...PAGES.flows, oidc: { providers } },
};

/** Where a page sends the browser by itself, which is also its link. */
function leadsTo({ text }: PageAnswer): string {
  const [, url] = /<meta http-equiv="refresh" content="0;url=([^"]+)" \/>/.exec(text)!;
  expect(text).toContain(`<a href="${url!}">`);
  return url!.replaceAll('&amp;', '&');
}

describe.each(PLATFORMS)('the pages of logins at providers, without script, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: AUTH, startAt: Date.now() });
  let nth = 0;
  let sub: string;
  let browser: PlainBrowser;
  beforeEach(() => {
    sub = `${platform}-${++nth}`;
    browser = new PlainBrowser(t.url);
  });
  // The provider has the time of the application, whose clock goes ahead.
  const claims = () => {
    const now = Math.floor(t.clock.now() / 1000);
    const times = { iat: now, exp: now + 300, auth_time: now };
    return { sub, email: `${sub}@example.com`, email_verified: true, ...times };
  };
  const back = (url: string, more: object = {}) => {
    const { pathname, search } = new URL(stub.authorize(url, { ...claims(), ...more }));
    return browser.open(pathname + search);
  };
  const enter = async (next = '/notes') => back(leadsTo(await browser.post('provider?id=stub', { next })));
  const visit = async (user: AuthUser) => {
    const [name, value] = (await signInAs(t.app, user.id)).split(/=(.*)/s) as [string, string];
    browser.cookies.set(name, value);
  };

  it('F88: signs in by a button for each provider, and leads on', async () => {
    const page = await browser.open('sign-in?next=%2Fnotes');
    expect(page.text).toContain('action="provider?id=stub"');
    expect(page.text).toContain('Sign in with Stub &lt;b&gt;');
    expect(page.text).toContain('Sign in with Dead $&amp;');
    expect(page.text).toContain('action="provider?id=dead"');
    const leave = await browser.post('provider?id=stub', { next: '/notes' });
    expect(leave.status).toBe(200);
    const url = leadsTo(leave);
    expect(new URL(url).searchParams.get('redirect_uri')).toBe(`${PAGES.baseUrl}/auth/oidc/stub/callback`);
    // No redirect, so the policy need not allow the provider, nor wherever it redirects to.
    expect(leave.headers.get('content-security-policy')).toContain("form-action 'self'; ");
    expect(await back(url)).toMatchObject({ status: 303, to: '/notes' });
    expect((await browser.open('account')).text).toContain(`${sub}@example.com`);
  });

  it('R28: a page of ours is gone back to by its path, and no address elsewhere', async () => {
    expect(await enter('passkeys')).toMatchObject({ status: 303, to: '/auth/p/passkeys' });
    expect(await enter('https://evil.example')).toMatchObject({ status: 303, to: '/auth/p/account' });
    expect(await enter('/notes#exchange=EVIL')).toMatchObject({ status: 303, to: '/notes' });
  });

  it('F88: the second step follows, with nothing of it in the address', async () => {
    await enter();
    const { text } = await browser.open('account');
    const email = `${sub}@example.com`;
    expect(text).toContain(email);
    const [{ id }] = (await t.db.query(`SELECT id FROM users WHERE email = '${email}'`)) as [{ id: string }];
    const { secret } = await enrol(t, { id, email });
    browser.cookies.clear();
    const held = await enter();
    expect(held.to).toBe('../../p/two-factor?method=totp&method=backup-code&next=%2Fnotes');
    const form = { method: ['totp'], chosen: 'totp', code: totpOf(secret, t.clock), next: '/notes' };
    expect(await browser.post('two-factor', form)).toMatchObject({ status: 303, to: '/notes' });
    expect((await browser.open('account')).status).toBe(200);
  });

  it('F87: what a provider refuses is told from a closed list', async () => {
    const owner = await createUser(t.app);
    const url = leadsTo(await browser.post('provider?id=stub', {}));
    const taken = await back(url, { email: owner.email });
    expect(taken).toMatchObject({ status: 303, to: '../../p/sign-in?error=ACCOUNT_EXISTS&next=identities' });
    expect((await browser.open('sign-in?error=ACCOUNT_EXISTS')).text).toMatch(
      /role="alert">You have an account already/,
    );
    for (const code of ['<script>', 'toString', '__proto__', 'ANYTHING', 'lang']) {
      const { status, text } = await browser.open(`sign-in?error=${encodeURIComponent(code)}`);
      expect([code, status, text.includes('role="alert"')]).toEqual([code, 200, false]);
    }
    expect((await browser.open('sign-in?error=a&error=b')).text).not.toContain('role="alert"');
    expect((await browser.post('provider?id=nobody')).status).toBe(404);
    const dead = await browser.post('provider?id=dead');
    expect([dead.status, dead.text.includes('role="alert"')]).toEqual([502, true]);
  });

  it('F88: links an identity, shows it, and unlinks it; that of somebody else is refused', async () => {
    await enter();
    const other = await createUser(t.app);
    browser.cookies.clear();
    expect((await browser.open('identities')).to).toBe('sign-in?again&next=identities');
    await visit(other);
    expect((await browser.open('account')).text).toContain('href="identities"');
    expect((await browser.open('identities')).text).toContain('None is linked');
    const taken = await back(leadsTo(await browser.post('identities-link?id=stub')));
    expect(taken.to).toBe('../../p/identities?error=IDENTITY_IN_USE');
    expect((await browser.open('identities?error=IDENTITY_IN_USE')).text).toMatch(/role="alert">That is linked/);
    sub = `own-${sub}`;
    const linked = await back(leadsTo(await browser.post('identities-link?id=stub')));
    expect(linked).toMatchObject({ status: 303, to: '/auth/p/identities' });
    const { text } = await browser.open('identities');
    expect(text).toContain(`${sub}@example.com`);
    expect(text).not.toContain('<b>');
    const [, action] = /action="(identities-unlink\?id=[^"]+)"/.exec(text)!;
    expect(await browser.post(action!)).toMatchObject({ status: 303, to: 'identities?removed' });
    expect((await browser.post(action!)).status).toBe(404);
    t.clock.advance(hours(1));
    const stale = await browser.post('identities-link?id=stub');
    expect(stale).toMatchObject({ status: 303, to: 'step-up?next=identities' });
  });

  it('F88: an account that there is: its owner signs in as before, and is offered what they came back with', async () => {
    const owner = await createUser(t.app);
    await back(leadsTo(await browser.post('provider?id=stub', {})), { email: owner.email });
    const page = await browser.open('sign-in?error=ACCOUNT_EXISTS&next=identities');
    expect(page.text).toContain('name="next" value="identities"');
    const form = { email: owner.email, password: PASSWORD, next: 'identities' };
    expect(await browser.post('sign-in', form)).toMatchObject({ status: 303, to: 'identities' });
    const { text } = await browser.open('identities');
    expect(text).toContain('You have just signed in there');
    expect(text).toContain(`<bdi>${owner.email}</bdi>`);
    const [, action] = /action="(identities-link-kept\?id=[^"]+)"/.exec(text)!;
    t.clock.advance(minutes(9));
    expect(await browser.post(action!)).toMatchObject({ status: 303, to: 'identities?linked' });
    const linked = await browser.open('identities?linked');
    expect(linked.text).toMatch(/role="status">It is linked/);
    expect(linked.text).not.toContain('link-kept');
    // Once: there is nothing to link any more, which the page says.
    expect(await browser.post(action!)).toMatchObject({ status: 303, to: 'identities?error=LOGIN_EXPIRED' });
    expect((await browser.open('identities?error=LOGIN_EXPIRED')).text).toContain('role="alert">That took too long');
    browser.cookies.clear();
    expect(await enter()).toMatchObject({ status: 303, to: '/notes' });
    expect((await browser.open('account')).text).toContain(owner.email);
  });

  it('F88: a new account whose address is to be proved: the page for the mailed code, without a password', async () => {
    const email = `${sub}@example.com`;
    const url = leadsTo(await browser.post('provider?id=stub', { next: '/notes' }));
    const answer = await back(url, { email_verified: false });
    expect(answer).toMatchObject({ status: 303, to: '../../p/confirm?sent&next=%2Fnotes' });
    const page = await browser.open('confirm?sent&next=%2Fnotes');
    expect(page.text).toContain('role="status"');
    const { code, token } = await mailTo(t, email);
    const stranger = new PlainBrowser(t.url);
    const asked = await stranger.post('confirm', { code: token, next: '/notes' });
    expect([asked.status, asked.text.includes('role="alert"')]).toEqual([422, true]);
    expect(await browser.post('confirm', { code, password: '', next: '/notes' })).toMatchObject({
      status: 303,
      to: '/notes',
    });
    expect((await browser.open('identities')).text).toContain(email);
    expect((await browser.open('account')).text).toContain(email);
  });

  it('F88: the only way in proves it again at the provider, and leads back to the form', async () => {
    await enter();
    t.clock.advance(minutes(30));
    expect((await browser.open('email')).to).toBe('step-up?next=email');
    const page = await browser.open('step-up?next=email');
    expect(page.text).toContain('action="step-up-provider?id=stub"');
    expect(page.text).not.toContain('id=dead');
    const url = leadsTo(await browser.post('step-up-provider?id=stub', { next: 'email' }));
    expect(await back(url)).toMatchObject({ status: 303, to: '/auth/p/email' });
    expect((await browser.open('email')).status).toBe(200);
  });

  it('F67: a provider that asks nobody again is no way to prove it', async () => {
    const user = await createUser(t.app);
    await t.app.get(IdentityStore).add(identityOf(user, { provider: 'dead', issuer: 'http://localhost:1' }));
    await visit(user);
    const page = await browser.open('step-up?next=email');
    expect(page.text).toContain('name="password"');
    expect(page.text).not.toContain('step-up-provider');
    expect((await browser.post('step-up-provider?id=dead', { next: 'email' })).status).toBe(422);
    // Negative control: at another one it is.
    await t.app.get(IdentityStore).add(identityOf(user, { provider: 'stub', issuer: stub.issuer }));
    expect((await browser.open('step-up?next=email')).text).toContain('action="step-up-provider?id=stub"');
  });

  it('a page of the host, where it is written, ends what is not finished', async () => {
    const auth = { ...AUTH, flows: { ...AUTH.flows, oidc: { providers, page: '/welcome' } } };
    const own = await startTestApp({ url: t.db.url, platform, auth, startAt: Date.now() });
    try {
      const { status, headers } = await fetch(`${own.url}/auth/oidc/stub/callback?error=access_denied`, {
        redirect: 'manual',
      });
      expect([status, headers.get('location')]).toEqual([303, '/welcome?error=LOGIN_EXPIRED']);
    } finally {
      await own.close();
    }
  });
});
