import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { hours, minutes, type AuthUser } from 'nestjs-latchkey';
import { VirtualAuthenticator } from 'nestjs-latchkey/testing';
import type { Browser, CDPSession, Page } from 'playwright-core';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { startBrowser } from '../support/browser.js';
import { freePort } from '../support/free-port.js';
import { PasskeyPageController } from '../support/passkey-page.js';
import { PASSKEYS } from '../support/passkeys.js';

interface Answered {
  readonly status: number;
  readonly body: { readonly code?: string; readonly token?: string; readonly session?: object };
}

describe.each(PLATFORMS)('passkeys in Chromium, %s', (platform) => {
  let browser: Browser;
  let t: TestApp;
  let page: Page;
  let devTools: CDPSession;
  let authenticator: VirtualAuthenticator;
  let ada: AuthUser;

  beforeAll(async () => {
    const port = await freePort();
    const auth = { ...PASSKEYS, baseUrl: `http://localhost:${port}`, cookie: { secure: false } };
    [browser, t] = await Promise.all([
      startBrowser(),
      startTestApp({ platform, port, auth, controllers: [PasskeyPageController], startAt: Date.now() }),
    ]);
  });
  afterAll(async () => {
    await browser?.close();
    await t?.close();
  });
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    ada = await createUser(t.app);
    page = await (await browser.newContext()).newPage();
    devTools = await page.context().newCDPSession(page);
    authenticator = await VirtualAuthenticator.enable(devTools);
    await page.goto(`${t.url.replace('127.0.0.1', 'localhost')}/page`);
    await logIn();
    await ask(`addPasskey('Laptop')`, 201);
  });
  afterEach(() => page.context().close());

  const ask = async (script: string, status = 200): Promise<Answered['body']> => {
    const answered = (await page.evaluate(script)) as Answered;
    expect([answered.status, answered.body.code]).toEqual([status, status < 400 ? undefined : expect.any(String)]);
    return answered.body;
  };
  const logIn = () => ask(`ask('POST', '/auth/login', ${JSON.stringify({ email: ada.email, password: PASSWORD })})`);
  const session = async () => (await ask(`ask('GET', '/auth/session')`)).session;
  /** The same passkey in an authenticator that cannot verify anybody. */
  const moveToKeyWithoutPin = async () => {
    const { authenticatorId: from } = authenticator as unknown as { authenticatorId: string };
    const { credentials } = await devTools.send('WebAuthn.getCredentials', { authenticatorId: from });
    await authenticator.remove();
    const key = await VirtualAuthenticator.enable(devTools, { transport: 'usb', hasUserVerification: false });
    const { authenticatorId } = key as unknown as { authenticatorId: string };
    await devTools.send('WebAuthn.addCredential', { authenticatorId, credential: credentials[0]! });
    await t.db.query(`UPDATE auth_passkeys SET transports = '{usb}' WHERE user_id = '${ada.id}'`);
  };
  const logOut = () => page.context().clearCookies();

  it('F72: logs in without a name, with two factors', async () => {
    expect(await authenticator.credentials()).toMatchObject([{ rpId: 'localhost', isResidentCredential: true }]);
    await logOut();
    expect(await ask('logInByPasskey()')).toMatchObject({ status: 'authenticated', user: { id: ada.id } });
    expect(await session()).toMatchObject({ aal: 2, amr: ['passkey'] });
  });

  it('F72: is a second factor, and without user verification one factor', async () => {
    const secondStep = async () => {
      await logOut();
      const { token } = await logIn();
      await ask(`secondStepByPasskey(${JSON.stringify(token)})`);
      return session();
    };
    expect(await secondStep()).toMatchObject({ aal: 2, amr: ['password', 'passkey'] });
    await moveToKeyWithoutPin();
    expect(await secondStep()).toMatchObject({ aal: 2, amr: ['password', 'passkey-presence'] });
  });

  it('F72: does not log in without user verification', async () => {
    await authenticator.setUserVerified(false);
    await logOut();
    // The browser refuses already; the server is shown by the tests with an authenticator in software.
    await expect(page.evaluate('logInByPasskey()')).rejects.toThrow(/NotAllowedError/);
  });

  it('F83: steps a session up', async () => {
    await logOut();
    await ask('logInByPasskey()');
    t.clock.advance(hours(1));
    await ask(`ask('POST', '/auth/passkeys/options')`, 401);
    await ask('stepUpByPasskey()');
    await ask(`addPasskey('Phone')`, 201).catch((error: Error) => expect(error.message).toMatch(/InvalidStateError/));
  });

  it('F74: a counter that was set back is a copy', async () => {
    await t.db.query(`UPDATE auth_passkeys SET sign_count = 1000 WHERE user_id = '${ada.id}'`);
    await logOut();
    expect(await ask('logInByPasskey()', 401)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    const [row] = await t.db.query(`SELECT clone_suspected_at FROM auth_passkeys WHERE user_id = '${ada.id}'`);
    expect(row).not.toEqual({ clone_suspected_at: null });
  });
});

/** The relying party is configured before the server listens. */
