import { Logger } from '@nestjs/common';
import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { MAIL } from '../support/flows.js';
import { PostgresUserDirectory, type AuthUser } from 'nestjs-latchkey';
import { totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../support/app.js';
import { PAGES, PlainBrowser } from '../support/pages.js';
import { hideSessions } from '../support/stored.js';
import { sharedTestApp } from '../support/shared-app.js';
import { enrol } from '../support/two-factor.js';

const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

describe.each(PLATFORMS)('the pages to sign in on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: PAGES });
  let ada: AuthUser;
  let browser: PlainBrowser;
  beforeEach(async () => {
    ada = await createUser(t.app);
    browser = new PlainBrowser(t.url);
  });
  const signIn = (form: Record<string, string> = {}) =>
    browser.post('sign-in', { email: ada.email, password: PASSWORD, ...form });

  it('F87: a page runs only its own files, is framed by nobody and kept by no cache', async () => {
    const { status, headers, text } = await browser.open('sign-in');
    expect(status).toBe(200);
    expect(headers.get('content-security-policy')).toBe(POLICY);
    expect(headers.get('referrer-policy')).toBe('same-origin');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(text).not.toMatch(/<script(?! src="account\.js\?v=[0-9a-f]+" defer><\/script>)|<style| style=| on\w+=/);
    expect(text).not.toMatch(/(?:src|href|action)="(?:https?:)?\//);
    expect(text.length).toBeLessThan(30_000);
  });

  it('its files are kept for good under the address that names their content, and compared under another', async () => {
    const { text } = await browser.open('sign-in');
    for (const [address, type] of [
      [/href="(account\.css\?v=\w+)"/, 'text/css; charset=utf-8'],
      [/src="(account\.js\?v=\w+)"/, 'text/javascript; charset=utf-8'],
    ] as const) {
      const path = `/auth/p/${address.exec(text)![1]}`;
      const file = await request(t.url).get(path).expect(200).expect('Content-Type', type);
      expect(file.headers['cache-control']).toBe('public, max-age=31536000, immutable');
      const etag = file.headers['etag'] as string;
      await request(t.url).get(path).set('If-None-Match', etag).expect(304);
      const other = await request(t.url).get(path.replace(/v=.*/, 'v=0')).expect(200);
      expect(other.headers['cache-control']).toBe('no-cache');
    }
  });

  it('F88: signs in and out by forms alone', async () => {
    expect(await signIn()).toMatchObject({ status: 303, to: 'account' });
    const account = await browser.open('account', { 'User-Agent': 'curl/8' });
    expect(account.status).toBe(200);
    expect(account.text).toContain(ada.email);
    expect(await browser.post('sign-out')).toMatchObject({ status: 303, to: 'sign-in?signed-out' });
    expect((await browser.open('sign-in?signed-out')).text).toMatch(/role="status">You have signed out/);
    expect(await browser.open('account')).toMatchObject({ status: 303, to: 'sign-in?again' });
  });

  it('R28: leads on to a path of the application or a page of its own, and nowhere else', async () => {
    for (const [next, to] of [
      ['/notes?page=2', '/notes?page=2'],
      ['passkeys', 'passkeys'],
      ['https://evil.example', 'account'],
      ['//evil.example', 'account'],
      ['/\\evil.example', 'account'],
      ['javascript:alert(1)', 'account'],
      ['sign-out', 'account'],
    ] as const) {
      const { text } = await browser.open(`sign-in?next=${encodeURIComponent(next)}`);
      expect(text).not.toContain('evil.example');
      expect(await signIn({ next })).toMatchObject({ status: 303, to });
    }
  });

  it('R37: a wrong password, an unknown and a disabled account are answered alike, tied to no field', async () => {
    const gone = await createUser(t.app);
    await t.app.get(PostgresUserDirectory).disable(gone.id);
    const answers = [];
    const forms: Record<string, string>[] = [
      { password: 'wrong' },
      { email: 'nobody@example.com' },
      { email: gone.email },
    ];
    for (const form of forms) {
      const { status, text, headers } = await signIn(form);
      answers.push([status, text.replaceAll(/value="[^"]*@[^"]*"/g, ''), [...headers.keys()]]);
    }
    expect(answers[0]![0]).toBe(401);
    expect(answers[0]![1]).toMatch(/role="alert">Wrong e-mail address or password/);
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });

  it('what is wrong stands beside its field, and what was typed is still there, but for the password', async () => {
    const { status, text } = await signIn({ email: '<b>"\'', password: '' });
    expect(status).toBe(422);
    expect(text).toMatch(/id="lk-password"[^>]* aria-describedby="lk-password-error" aria-invalid="true" autofocus/);
    expect(text).toContain('<p class="lk-error" id="lk-password-error">');
    expect(text).toContain('value="&lt;b&gt;&quot;&#39;"');
    expect((await signIn({ password: 'a secret that was typed' })).text).not.toContain('a secret');
  });

  it('E: a form that a foreign page sends is refused, to sign in too, and one of an old browser is told by its origin', async () => {
    const form = { email: ada.email, password: PASSWORD };
    const foreign: Record<string, string>[] = [
      { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.example' },
      { Origin: 'https://evil.example' },
      { Origin: 'null' },
    ];
    for (const headers of foreign) {
      const refused = await browser.post('sign-in', form, headers);
      expect(refused.status).toBe(403);
      expect(refused.headers.get('content-security-policy')).toBe(POLICY);
      expect(browser.cookies.size).toBe(0);
    }
    const origin = PAGES.baseUrl;
    expect((await browser.post('sign-in', form, { Origin: origin })).status).toBe(303);
  });

  it('F88: the second step by a form: a wrong code, a code by mail, and the way on', async () => {
    const { secret, backupCodes } = await enrol(t, ada);
    const held = await signIn({ next: '/notes' });
    expect(held.to).toMatch(/^two-factor\?method=totp&method=backup-code&next=%2Fnotes$/);
    expect(held.to).not.toMatch(/token/);
    expect(await browser.open('account')).toMatchObject({ status: 303 });
    const page = await browser.open(held.to!);
    expect(page.text).toMatch(/autocomplete="one-time-code"/);
    const form = { method: ['totp', 'backup-code'], next: '/notes' };
    const wrong = await browser.post('two-factor', { ...form, chosen: 'totp', code: '000000' });
    expect([wrong.status, wrong.text.includes('role="alert"')]).toEqual([401, true]);
    const code = ` ${totpOf(secret, t.clock)}\n`;
    expect(await browser.post('two-factor', { ...form, chosen: 'totp', code })).toMatchObject({
      status: 303,
      to: '/notes',
    });
    expect((await browser.open('account')).status).toBe(200);
    await browser.post('sign-out');
    await signIn();
    expect((await browser.post('two-factor', { ...form, chosen: 'backup-code', code: backupCodes[0]! })).status).toBe(
      303,
    );
  });

  it('the second step without a first one begins again', async () => {
    expect(await browser.open('two-factor?method=totp')).toMatchObject({ status: 303, to: 'sign-in?again' });
    const alone = await browser.post('two-factor', { chosen: 'totp', code: '123456', method: 'totp' });
    expect(alone.status).toBe(401);
  });

  it('F87: nothing that comes from outside opens a tag: an address, a user agent, a parameter', async () => {
    const hostile = '"><script>alert(1)</script>';
    const headers = { 'User-Agent': hostile, 'Sec-Fetch-Site': 'same-origin' };
    await browser.post('sign-in', { email: ada.email, password: PASSWORD }, headers);
    const pages = [
      await browser.open('account'),
      await browser.open(`sign-in?next=${encodeURIComponent(hostile)}&${encodeURIComponent(hostile)}`),
      await browser.post('sign-in', { email: hostile, password: '', next: hostile }),
      await browser.post(`end-session?handle=${encodeURIComponent(hostile)}`),
    ];
    expect(pages.map(({ status }) => status)).toEqual([200, 200, 422, 404]);
    for (const { text } of pages) expect(text).not.toContain('<script>');
  });

  it('R16: ends another session of the user, and none of anybody else', async () => {
    const other = new PlainBrowser(t.url);
    await other.post('sign-in', { email: ada.email, password: PASSWORD });
    const stranger = new PlainBrowser(t.url);
    await stranger.post('sign-in', { email: (await createUser(t.app)).email, password: PASSWORD });
    await signIn();
    const { text } = await browser.open('account');
    const [, handle] = /action="end-session\?handle=([^"]+)"/.exec(text.replaceAll('&#61;', '='))!;
    expect((await stranger.post(`end-session?handle=${handle}`)).status).toBe(404);
    expect(await browser.post(`end-session?handle=${handle}`)).toMatchObject({ status: 303, to: 'account?ended' });
    expect((await other.open('account')).status).toBe(303);
    expect((await browser.open('account')).status).toBe(200);
    await browser.post('sign-out-everywhere');
    expect((await browser.open('account')).status).toBe(303);
  });

  it('K: too many tries are a page of 429 that says how long', async () => {
    const limits = { backoff: { base: 0 }, policies: { login_attempt: { limit: 1 } } };
    const strict = await startTestApp({ url: t.db.url, platform, auth: { ...PAGES, rateLimits: limits } });
    try {
      const form = { email: ada.email, password: 'wrong' };
      const browser_ = new PlainBrowser(strict.url);
      await browser_.post('sign-in', form);
      const { status, headers, text } = await browser_.post('sign-in', form);
      expect([status, headers.get('retry-after')]).toEqual([429, '900']);
      expect(text).toContain('Wait 15 min');
    } finally {
      await strict.close();
    }
  });
});

describe.each(PLATFORMS)('pages below a global prefix, during an outage, on %s', (platform) => {
  const layout = (content: string, page: string) => `<header>Notes: ${page}</header>${content}`;
  const pages = { stylesheet: '/brand.css', layout, texts: { signIn: 'Log in <here>' } };
  const t = sharedTestApp({
    platform,
    auth: { ...PAGES, flows: { ...PAGES.flows, pages } },
    configure: (app) => app.setGlobalPrefix('api'),
  });

  it('says where the links of mails should lead below a prefix, and nothing where they are written', async () => {
    const said: string[] = [];
    const warn = jest
      .spyOn(Logger.prototype, 'warn')
      .mockImplementation((text: unknown) => void said.push(String(text)));
    const pagesOf = (kinds: object) => ({ ...PAGES, mail: { ...PAGES.mail, pages: kinds } });
    const start = async (kinds: object) =>
      (
        await startTestApp({
          url: t.db.url,
          platform,
          auth: pagesOf(kinds),
          configure: (app) => app.setGlobalPrefix('api'),
        })
      ).close();
    try {
      await start({ registration: '/api/auth/p/confirm' });
      expect(said.filter((text) => text.includes('global prefix'))).toEqual([
        expect.stringMatching(
          /mail\.pages for password_reset, email_change, email_changed, first_factor_added, magic_link, such as password_reset: '\/api\/auth\/p\/reset'/,
        ),
      ]);
      said.length = 0;
      await start(MAIL.mail.pages);
      expect(said.filter((text) => text.includes('global prefix'))).toEqual([]);
    } finally {
      warn.mockRestore();
    }
  });

  it('are relative, so a prefix and a path of a proxy change nothing; texts, layout and stylesheet are the host’s', async () => {
    const browser = new PlainBrowser(t.url, '/api/auth/p/');
    const { status, text } = await browser.open('sign-in');
    expect(status).toBe(200);
    expect(text).toMatch(
      /<link rel="stylesheet" href="account\.css\?v=\w+" \/>\s*<link rel="stylesheet" href="\/brand\.css" \/>/,
    );
    expect(text).toContain('<header>Notes: sign-in</header>');
    expect(text).toContain('<title>Log in &lt;here&gt;</title>');
    const user = await createUser(t.app);
    expect(await browser.post('sign-in', { email: user.email, password: PASSWORD })).toMatchObject({ to: 'account' });
    expect((await browser.open('account')).status).toBe(200);
  });

  it('H: an outage is a page of 503, and nobody is signed out', async () => {
    const browser = new PlainBrowser(t.url, '/api/auth/p/');
    const user = await createUser(t.app);
    await browser.post('sign-in', { email: user.email, password: PASSWORD });
    const cookies = new Map(browser.cookies);
    const bringBack = await hideSessions(t.db);
    try {
      for (const answer of [
        await browser.open('account'),
        await browser.post('sign-out'),
        await browser.post('sign-in', { email: user.email, password: PASSWORD }),
      ]) {
        expect(answer.status).toBe(503);
        expect(answer.text).toContain('does not answer right now');
        expect(answer.headers.get('content-security-policy')).toBe(POLICY);
      }
    } finally {
      await bringBack();
    }
    expect(browser.cookies).toEqual(cookies);
    expect((await browser.open('account')).status).toBe(200);
  });
});
