import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { days, PostgresUserDirectory, RateLimitService, SessionService, type AuthUser } from 'nestjs-latchkey';
import { AuditLog, IdentityStore, PasskeyStore } from 'nestjs-latchkey/engine';
import { ApiKeyService } from 'nestjs-latchkey/flows';
import type { Browser, Page } from 'playwright-core';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { startBrowser } from '../support/browser.js';
import { freePort } from '../support/free-port.js';
import { identityOf } from '../support/identities.js';
import { OPENED_PAGES } from '../support/page-routes.js';
import { PAGES } from '../support/pages.js';
import { startStubProvider, STUB_CLIENT } from '../support/stub-provider.js';
import { enrol } from '../support/two-factor.js';
import { lookedAt, openWatched } from '../support/watched-page.js';

/** In every text that comes from outside: where it were HTML, the browser would load, run or complain of something. */
const HOSTILE = `"><img src=x onerror=alert(1)><script>alert(1)</script>{provider}$&`;
const WIDTH = 320;

describe.each(PLATFORMS)('every page in Chromium, on %s', (platform) => {
  let browser: Browser;
  let t: TestApp;
  let stub: Awaited<ReturnType<typeof startStubProvider>>;
  let base: string;
  /** An admin who has everything that a page can show. */
  let ada: AuthUser;
  let cookie: string;

  beforeAll(async () => {
    stub = await startStubProvider();
    const port = await freePort();
    const baseUrl = `http://localhost:${port}`;
    const providers = [{ id: 'stub', label: HOSTILE, issuer: stub.issuer, ...STUB_CLIENT }];
    const flows = { ...PAGES.flows, oidc: { providers }, admin: {} };
    const auth = { ...PAGES, flows, session: { remembered: {} }, baseUrl, cookie: { secure: false } };
    [browser, t] = await Promise.all([startBrowser(), startTestApp({ platform, port, auth, startAt: Date.now() })]);
    base = `${baseUrl}/auth/p/`;
    ada = await createUser(t.app);
    await t.app.get(PostgresUserDirectory).setRoles(ada.id, ['admin']);
    ({ cookie } = await enrol(t, ada));
    await fillWithHostileTexts();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await t?.close();
    await stub?.close();
  });

  const fillWithHostileTexts = async () => {
    const { id: userId } = ada;
    const now = t.clock.now();
    await t.app.get(IdentityStore).add(identityOf(ada, { provider: 'stub', email: HOSTILE, linkedAt: now }));
    await t.app.get(ApiKeyService).create(ada, { name: HOSTILE, scopes: ['notes:read'], expiresIn: days(30) });
    await t.app.get(SessionService).create(userId, { userAgent: HOSTILE, ip: '192.0.2.7' });
    const key = { credentialId: randomBytes(16).toString('base64url'), publicKey: randomBytes(32), signCount: 0 };
    const device = { aaguid: null, transports: [], multiDevice: false, backedUp: false };
    const userHandle = randomBytes(64).toString('base64url');
    const passkey = { id: randomUUID(), userId, userHandle, name: HOSTILE, createdAt: now, ...key, ...device };
    await t.app.get(PasskeyStore).add(passkey, 20);
    for (let i = 0; i < 5; i++) await t.app.get(RateLimitService).record('2fa_attempt', HOSTILE);
    const { id } = await createUser(t.app);
    await t.db.query('UPDATE users SET email = $2 WHERE id = $1', [id, `"${HOSTILE}"@example.com`]);
    await fetch(`${base}../login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'User-Agent': HOSTILE },
      body: JSON.stringify({ email: `"${HOSTILE}"@example.com`, password: PASSWORD }),
    });
    await t.app.get(AuditLog).flush();
  };

  /** A phone, signed in by these cookies. */
  const visitor = async (colorScheme: 'light' | 'dark', cookies: string) => {
    const size = { width: WIDTH, height: 640 };
    const watched = await openWatched(browser, [base.slice(0, -2)], { colorScheme, viewport: size });
    const set = cookies.split('; ').filter(Boolean);
    const named = set
      .map((one) => /^([^=]+)=(.*)$/.exec(one)!)
      .map(([, name, value]) => ({ name: name!, value: value! }));
    await watched.context.addCookies(named.map((one) => ({ ...one, url: new URL('/', base).href })));
    const { page } = watched;
    const dialogs: string[] = [];
    page.on('dialog', (dialog) => void (dialogs.push(dialog.message()), dialog.dismiss()));
    const open = async (address: string, ends = address) => {
      await page.goto(base + address);
      expect([address, page.url().slice(base.length)]).toEqual([address, ends]);
      await isFine(page, address, colorScheme);
    };
    const press = (form: string) => page.click(`form[action="${form}"] button[type=submit]`);
    const isContent = async () => {
      expect(watched.complaints).toEqual([]);
      expect(dialogs).toEqual([]);
      await watched.context.close();
    };
    return { page, open, press, isContent };
  };
  const isFine = async (page: Page, name: string, colorScheme: string) =>
    expect([name, colorScheme, await lookedAt(page)]).toEqual([name, colorScheme, { width: WIDTH, found: [] }]);
  const signIn = async ({ page, press }: Awaited<ReturnType<typeof visitor>>, { email }: AuthUser) => {
    await page.goto(`${base}sign-in`);
    await page.fill('#lk-email', email);
    await page.fill('#lk-password', PASSWORD);
    await press('sign-in');
  };

  // What a page looks like does not depend on the adapter: there, once is enough.
  it.each(platform === PLATFORMS[0] ? (['light', 'dark'] as const) : (['light'] as const))(
    'F87: %s, on a phone: axe finds nothing, nothing overflows, no report of the policy, nobody else asked',
    async (colorScheme) => {
      const owner = await visitor(colorScheme, cookie);
      for (const name of OPENED_PAGES) {
        if (name === 'two-factor' || name === 'enrol') continue;
        const ends = name === 'backup-codes' ? 'authenticator' : name;
        const address = name === 'admin-user' ? `${name}?id=${ada.id}` : name;
        await owner.open(address, name === 'admin-user' ? address : ends);
      }
      // What only a parameter, a mistake or the answer to a form shows.
      for (const address of ['sign-in?error=ACCOUNT_EXISTS', 'revert-email?done', 'admin-user?id=nobody']) {
        await owner.open(address);
      }
      await owner.open('register');
      await owner.page.fill('#lk-email', 'new@example.com');
      await owner.page.fill('#lk-password', 'short');
      await owner.press('register');
      await isFine(owner.page, 'register, refused', colorScheme);
      await owner.open('api-keys');
      await owner.page.fill('#lk-name', HOSTILE);
      await owner.page.check('input[name=scopes] >> nth=0');
      await owner.press('api-keys');
      await owner.page.waitForSelector('#lk-key');
      await isFine(owner.page, 'api-keys, made', colorScheme);
      await owner.isContent();

      const renewing = await visitor(colorScheme, (await enrol(t, await createUser(t.app))).cookie);
      await renewing.open('authenticator');
      await renewing.press('backup-codes');
      await renewing.page.waitForSelector('#lk-codes');
      await isFine(renewing.page, 'backup-codes, new', colorScheme);
      await renewing.isContent();

      const held = await visitor(colorScheme, '');
      await signIn(held, ada);
      expect(held.page.url()).toContain('/two-factor?');
      await isFine(held.page, 'two-factor', colorScheme);
      await held.isContent();

      const enrolling = await visitor(colorScheme, '');
      await signIn(enrolling, await createUser(t.app, `${colorScheme}-must-enrol@example.com`));
      expect(enrolling.page.url()).toMatch(/\/enrol$/);
      await isFine(enrolling.page, 'enrol', colorScheme);
      await enrolling.press('enrol');
      await enrolling.page.waitForSelector('.lk-qr');
      await isFine(enrolling.page, 'enrol, the picture', colorScheme);
      await enrolling.isContent();
    },
    120_000,
  );

  it('F87: a text from outside is shown as it is', async () => {
    const owner = await visitor('light', cookie);
    for (const name of ['sign-in', 'identities', 'api-keys', 'passkeys', 'admin-limits']) {
      await owner.page.goto(base + name);
      expect([name, await owner.page.innerText('main')]).toEqual([name, expect.stringContaining(HOSTILE)]);
    }
    await owner.isContent();
  });

  it('password managers find the fields of each form, and passkeys beside the name', async () => {
    const owner = await visitor('light', cookie);
    const hints = async (name: string) => {
      await owner.page.goto(base + name);
      const fields = await owner.page.locator('main input:not([type=hidden], [type=checkbox], [type=radio])').all();
      return Promise.all(fields.map((field) => field.getAttribute('autocomplete')));
    };
    expect(await hints('sign-in')).toEqual(['username webauthn', 'current-password']);
    expect(await hints('register')).toEqual(['username', 'new-password']);
    expect(await hints('reset')).toEqual(['off', 'new-password']);
    expect(await hints('password')).toEqual(['username', 'current-password', 'new-password']);
    expect((await hints('confirm'))[0]).toBe('one-time-code');
    for (const name of OPENED_PAGES)
      for (const hint of await hints(name)) expect([name, hint]).toEqual([name, expect.any(String)]);
    await owner.isContent();
  });
});
