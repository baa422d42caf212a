import { beforeEach, describe, expect, it } from '@jest/globals';
import { hours, seconds, SessionService, type AuthUser } from 'nestjs-latchkey';
import { AuditLog } from 'nestjs-latchkey/engine';
import { EmailCodeService } from 'nestjs-latchkey/flows';
import { signInAs, totpOf } from 'nestjs-latchkey/testing';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { newMails } from '../support/flows.js';
import { PAGES, PlainBrowser } from '../support/pages.js';
import { sharedTestApp } from '../support/shared-app.js';
import { enrol } from '../support/two-factor.js';

const NEW_PASSWORD = 'another horse battery';

describe.each(PLATFORMS)('the pages of an account, without script, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: PAGES });
  let ada: AuthUser;
  let browser: PlainBrowser;
  beforeEach(async () => {
    t.clock.advance(hours(1));
    ada = await createUser(t.app);
    browser = new PlainBrowser(t.url);
    await newMails(t.app);
  });

  const visit = async (user: AuthUser, age = 0) => {
    const cookie = await signInAs(t.app, user.id, age === 0 ? {} : { authenticatedAt: t.clock.now() - age });
    const [name, value] = cookie.split(/=(.*)/s) as [string, string];
    browser.cookies.set(name, value);
  };
  const sessionOf = async () => {
    const cookie = browser.cookies.get('__Host-session')!;
    return (await t.app.get(SessionService).lookup(cookie))!.session;
  };
  const mail = async (kind: string) => {
    const found = (await newMails(t.app)).find((one) => one.kind === kind)!;
    return found as unknown as { link: string; text: string; token: string; code: string };
  };
  const linkIn = ({ text }: { text: string }) => /https:\/\/\S+#\S+/.exec(text)![0];

  it('F88: registers, and confirms by the code or by the pasted link', async () => {
    for (const by of ['code', 'link'] as const) {
      const email = `new-${by}-${ada.id}@example.com`;
      const form = { email, password: NEW_PASSWORD, next: '/notes' };
      expect(await browser.post('register', form)).toMatchObject({ status: 303, to: 'confirm?sent&next=%2Fnotes' });
      expect((await browser.open('confirm?sent')).text).toMatch(/role="status">We have sent a mail/);
      const sent = await mail('registration');
      expect(linkIn(sent)).toMatch(/^https:\/\/app\.example\.com\/auth\/p\/confirm#[\w-]{43}$/);
      const code = by === 'code' ? sent.code : linkIn(sent);
      const wrong = await browser.post('confirm', { code: 'ABCD-EFGH', password: '', next: '/notes' });
      expect([wrong.status, wrong.text.includes('role="alert"')]).toEqual([400, true]);
      const done = await browser.post('confirm', { code, password: '', next: '/notes' });
      expect(done).toMatchObject({ status: 303, to: '/notes' });
      expect((await browser.open('account')).text).toContain(email);
      browser.cookies.clear();
    }
  });

  it('R37: an address that has an account is answered as any other, and a weak password beside its field', async () => {
    const answers = [];
    for (const email of [ada.email, `new-${ada.id}@example.com`]) {
      const { status, to, text, headers } = await browser.post('register', { email, password: NEW_PASSWORD });
      answers.push([status, to, text, [...headers.keys()]]);
    }
    expect(answers[0]).toEqual(answers[1]);
    const weak = await browser.post('register', { email: ada.email, password: 'short' });
    expect(weak.status).toBe(422);
    expect(weak.text).toMatch(/id="lk-password-error">Use a longer password/);
    expect((await browser.post('resend', { email: ada.email })).to).toBe('confirm?sent');
  });

  it('F88: a forgotten password, by the pasted link; every address is answered alike', async () => {
    const answers = [];
    for (const email of ['nobody@example.com', ada.email]) {
      const { status, to, text } = await browser.post('forgot', { email });
      answers.push([status, to, text]);
    }
    expect(answers[0]).toEqual(answers[1]);
    expect((await browser.open('reset?sent')).text).toMatch(/role="status">If there is an account/);
    const link = linkIn(await mail('password_reset'));
    const weak = await browser.post('reset', { token: link, password: 'short' });
    expect([weak.status, weak.text.includes('Use a longer password')]).toEqual([422, true]);
    expect(await browser.post('reset', { token: link, password: NEW_PASSWORD })).toMatchObject({ to: 'sign-in?reset' });
    expect((await browser.post('reset', { token: link, password: NEW_PASSWORD })).status).toBe(400);
    expect((await browser.post('sign-in', { email: ada.email, password: NEW_PASSWORD })).status).toBe(303);
  });

  it('changes the password, keeps this session, and says which field is wrong', async () => {
    await visit(ada);
    const wrong = await browser.post('password', { currentPassword: 'wrong', newPassword: NEW_PASSWORD });
    expect(wrong.status).toBe(401);
    expect(wrong.text).toMatch(/id="lk-currentPassword-error">Wrong password/);
    const weak = await browser.post('password', { currentPassword: PASSWORD, newPassword: 'short' });
    expect(weak.text).toMatch(/id="lk-newPassword-error">/);
    const done = await browser.post('password', { currentPassword: PASSWORD, newPassword: NEW_PASSWORD });
    expect(done).toMatchObject({ status: 303, to: 'account?password' });
    expect((await browser.open('account?password')).text).toMatch(/role="status">Your password has been changed/);
  });

  it('shows what has happened lately, to its owner alone', async () => {
    await visit(await createUser(t.app));
    await visit(ada);
    t.clock.advance(seconds(1));
    await browser.post('password', { currentPassword: PASSWORD, newPassword: NEW_PASSWORD });
    await t.app.get(AuditLog).flush();
    const { text } = await browser.open('account');
    expect(text.match(/Password changed|Signed in(?! as)/g)).toEqual(['Password changed', 'Signed in']);
  });

  it('asks for a fresh proof, and leads back to the form', async () => {
    await visit(ada, hours(1) - seconds(1));
    expect(await browser.open('email')).toMatchObject({ status: 303, to: 'step-up?next=email' });
    const page = await browser.open('step-up?next=email');
    expect(page.text).toMatch(/name="next" value="email"/);
    const form = { chosen: 'password', next: 'email' };
    const wrong = await browser.post('step-up', { ...form, password: 'wrong' });
    expect([wrong.status, wrong.text.includes('Wrong password')]).toEqual([401, true]);
    expect(await browser.post('step-up', { ...form, password: PASSWORD })).toMatchObject({ status: 303, to: 'email' });
    expect((await browser.open('email')).status).toBe(200);
  });

  it('F88: changes the address, and takes it back', async () => {
    await visit(ada);
    const email = `moved-${ada.id}@example.com`;
    expect((await browser.post('email', { email: 'nothing' })).status).toBe(422);
    expect(await browser.post('email', { email })).toMatchObject({ to: 'email?sent' });
    const token = linkIn(await mail('email_change'));
    expect(await browser.post('confirm-email', { token })).toMatchObject({ to: 'confirm-email?done' });
    expect((await browser.open('confirm-email?done')).text).toContain('Your address has been changed');
    const undo = linkIn(await mail('email_changed'));
    expect((await browser.post('revert-email', { token: 'wrong' })).status).toBe(400);
    expect(await browser.post('revert-email', { token: undo })).toMatchObject({ to: 'revert-email?done' });
    expect((await browser.open('account')).status).toBe(303);
  });

  it('F88: a login by mailed link: asks, and opens it by the pasted link or the code; every address is answered alike', async () => {
    expect((await browser.open('sign-in?next=%2Fnotes')).text).toContain('href="ask-link?next=%2Fnotes"');
    const answers = [];
    for (const email of ['nobody@example.com', ada.email]) {
      const { status, to, text, headers } = await browser.post('ask-link', { email, next: '/notes' });
      answers.push([status, to, text, [...headers.keys()]]);
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]![1]).toBe('link?sent&next=%2Fnotes');
    expect((await browser.open('link?sent')).text).toMatch(/role="status">If there is an account/);
    const link = linkIn(await mail('magic_link'));
    expect(link).toMatch(/^https:\/\/app\.example\.com\/auth\/p\/link#[\w-]{43}$/);
    const wrong = await browser.post('link', { code: 'ABCD-EFGH', next: 'account' });
    expect([wrong.status, wrong.text.includes('role="alert"')]).toEqual([400, true]);
    // The page that the link opens knows no `next`: the link does.
    expect(await browser.post('link', { code: link, next: 'account' })).toMatchObject({ status: 303, to: '/notes' });
    expect((await browser.open('account')).text).toContain(ada.email);
    expect((await browser.post('link', { code: link })).status).toBe(400);
    browser.cookies.clear();
    await browser.post('ask-link', { email: ada.email, next: 'passkeys' });
    const { code } = await mail('magic_link');
    expect((await new PlainBrowser(t.url).post('link', { code })).status).toBe(400);
    expect(await browser.post('link', { code, next: 'passkeys' })).toMatchObject({ status: 303, to: 'passkeys' });
  });

  it('F88: a login by mailed link goes on with the second step', async () => {
    const { secret } = await enrol(t, ada);
    await browser.post('ask-link', { email: ada.email, next: '/notes' });
    const { code } = await mail('magic_link');
    const held = await browser.post('link', { code, next: '/notes' });
    expect(held.to).toBe('two-factor?method=totp&method=backup-code&next=%2Fnotes');
    const form = { method: ['totp'], chosen: 'totp', code: totpOf(secret, t.clock), next: '/notes' };
    expect(await browser.post('two-factor', form)).toMatchObject({ status: 303, to: '/notes' });
  });

  it('F88: the link about the first second factor removes it, by the pasted link', async () => {
    const { cookie } = await enrol(t, ada);
    browser.cookies.set(...(cookie.split(/=(.*)/s) as [string, string]));
    expect((await browser.open('account')).status).toBe(200);
    const undo = linkIn(await mail('first_factor_added'));
    expect(undo).toMatch(/^https:\/\/app\.example\.com\/auth\/p\/revert-factor#[\w-]{43}$/);
    expect((await browser.open('revert-factor')).text).toMatch(/Every second factor and passkey is removed/);
    const wrong = await browser.post('revert-factor', { token: 'wrong' });
    expect([wrong.status, wrong.text.includes('role="alert"')]).toEqual([400, true]);
    expect(await browser.post('revert-factor', { token: undo })).toMatchObject({
      status: 303,
      to: 'revert-factor?done',
    });
    expect((await browser.open('revert-factor?done')).text).toMatch(/role="status">It has been removed/);
    expect((await browser.open('account')).to).toBe('sign-in?again');
    expect(linkIn(await mail('password_reset'))).toContain('/auth/p/reset#');
    expect((await browser.post('revert-factor', { token: undo })).status).toBe(400);
  });

  it('F88: an authenticator app: the picture and the key once, the codes once, and off again', async () => {
    await visit(ada);
    expect((await browser.open('authenticator')).text).toMatch(/<p>Off<\/p>/);
    const setup = await browser.post('authenticator');
    expect(setup.status).toBe(200);
    expect(setup.text).toMatch(/<img\s+class="lk-qr"\s+src="data:image\/svg\+xml;base64,[\w+/=]+"/);
    const [, secret] = /Key: ([A-Z2-7]+)/.exec(setup.text)!;
    expect((await browser.post('authenticator-on', { code: '000000' })).status).toBe(401);
    const on = await browser.post('authenticator-on', { code: totpOf(secret!, t.clock) });
    expect(on.status).toBe(200);
    expect(on.text.match(/<li>[^<]+<\/li>/g)).toHaveLength(4);
    expect((await browser.open('authenticator')).text).toMatch(/<p>On<\/p>[\s\S]*4 left/);
    const again = await browser.post('backup-codes');
    expect(again.text.match(/<li>[^<]+<\/li>/g)).toHaveLength(4);
    expect(await browser.post('authenticator-off')).toMatchObject({ status: 303, to: 'account?factor' });
  });

  it('F88: a login that must have a factor enrols one before it leads on', async () => {
    const { email } = await createUser(t.app, `must-enrol-${ada.id}@example.com`);
    const form = { email, password: PASSWORD, next: '/notes' };
    expect(await browser.post('sign-in', form)).toMatchObject({ status: 303, to: 'enrol?next=%2Fnotes' });
    expect((await browser.open('enrol?next=%2Fnotes')).status).toBe(200);
    const [, secret] = /Key: ([A-Z2-7]+)/.exec((await browser.post('enrol', { next: '/notes' })).text)!;
    expect((await browser.post('enrol-on', { code: '000000', next: '/notes' })).status).toBe(401);
    expect((await browser.open('account')).status).toBe(303);
    const on = await browser.post('enrol-on', { code: totpOf(secret!, t.clock), next: '/notes' });
    expect(on.text).toContain('href="/notes"');
    expect((await browser.open('account')).status).toBe(200);
    const other = new PlainBrowser(t.url);
    expect((await other.open('enrol')).to).toBe('sign-in?again');
    expect((await other.post('enrol')).status).toBe(401);
  });

  it('F88: a code by mail as the second step, and a browser that is trusted after it', async () => {
    await visit(ada);
    await t.app.get(EmailCodeService).start({ user: ada, session: await sessionOf(), ip: null });
    await t.app
      .get(EmailCodeService)
      .enable({ user: ada, session: await sessionOf(), ip: null }, (await mail('email_code_setup')).code);
    browser.cookies.clear();
    const form = { email: ada.email, password: PASSWORD };
    const held = await browser.post('sign-in', form);
    expect(held.to).toBe('two-factor?method=email-code');
    const kept = { method: 'email-code', chosen: 'email-code', next: 'account' };
    const asked = await browser.post('two-factor-send', kept);
    expect(asked).toMatchObject({ status: 303, to: 'two-factor?sent&method=email-code&next=account' });
    expect((await browser.open(asked.to!)).text).toContain('A code is on its way');
    const { code } = await mail('login_code');
    expect(await browser.post('two-factor', { ...kept, code, trust: 'on' })).toMatchObject({
      status: 303,
      to: 'account',
    });
    await browser.post('sign-out');
    expect((await browser.post('sign-in', form)).to).toBe('account');
  });

  it('F87: a key is shown once, and its name and a passkey’s are texts', async () => {
    await visit(ada);
    const name = '<img src=x onerror=alert(1)>';
    expect((await browser.post('api-keys', { name, days: '0' })).status).toBe(422);
    const made = await browser.post('api-keys', { name, days: '7', scopes: ['notes:read', 'notes:write'] });
    expect(made.status).toBe(200);
    const [key] = /lk_[\w-]{43}/.exec(made.text)!;
    const { text } = await browser.open('api-keys');
    expect(text).not.toContain(key);
    expect(text).not.toContain('<img');
    expect(text).toContain('&lt;img src=x onerror=alert(1)&gt;');
    const [, action] = /action="(api-keys-revoke\?id=[^"]+)"/.exec(text)!;
    expect(await browser.post(action!)).toMatchObject({ status: 303, to: 'api-keys?revoked' });
    expect((await browser.open('api-keys')).text).not.toContain('onerror');
    expect((await browser.open('passkeys')).status).toBe(200);
    expect((await browser.post('passkeys-remove?id=none')).status).toBe(404);
  });

  it('deletes the account, in a fresh session', async () => {
    await visit(ada, hours(1) - seconds(1));
    expect(await browser.post('delete-account')).toMatchObject({ to: 'step-up?next=delete-account' });
    await browser.post('step-up', { chosen: 'password', password: PASSWORD, next: 'delete-account' });
    expect((await browser.open('delete-account')).status).toBe(200);
    expect(await browser.post('delete-account')).toMatchObject({ to: 'sign-in?deleted' });
    expect((await browser.post('sign-in', { email: ada.email, password: PASSWORD })).status).toBe(401);
  });

  it('F87: every page has the same headers, needs no session that it does not need, and is small', async () => {
    const open = ['sign-in', 'register', 'confirm', 'resend', 'forgot', 'reset', 'confirm-email', 'revert-email'];
    open.push('revert-factor', 'ask-link', 'link');
    const guarded = [
      'account',
      'password',
      'email',
      'authenticator',
      'passkeys',
      'api-keys',
      'delete-account',
      'step-up',
    ];
    const { headers } = await browser.open('sign-in');
    for (const page of guarded) expect((await browser.open(page)).to).toMatch(/^sign-in\?again/);
    await visit(ada);
    for (const page of [...open, ...guarded]) {
      const answer = await browser.open(page);
      expect([page, answer.status]).toEqual([page, 200]);
      for (const name of ['content-security-policy', 'referrer-policy', 'x-frame-options', 'cache-control']) {
        expect(answer.headers.get(name)).toBe(headers.get(name));
      }
      expect(answer.text.length).toBeLessThan(30_000);
      expect(answer.text).not.toMatch(/\s(?:style|on\w+)="/);
    }
  });
});
