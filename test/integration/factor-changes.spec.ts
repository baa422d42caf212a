import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { days, minutes, PostgresUserDirectory, RateLimitService, SessionService, type AuthUser } from 'nestjs-latchkey';
import { EphemeralTokenStore } from 'nestjs-latchkey/engine';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { TrustedBrowsers } from '../../src/login/trusted-browsers.js';
import { EmailFactorStore } from '../../src/two-factor/email-factor.store.js';
import { MAX_FAILURES } from '../../src/two-factor/max-failures.js';
import { createUser, NO_LOGIN_LIMITS } from '../support/app.js';
import { MAIL } from '../support/flows.js';
import { CodeBrowser, mailCodesTo, SESSION } from '../support/mailed-codes.js';
import { sharedTestApp } from '../support/shared-app.js';
import { enrol, pendingLogin } from '../support/two-factor.js';

const NEW_PASSWORD = 'a brand new passphrase';

describe('what goes with the factors of an account', () => {
  const t = sharedTestApp({
    auth: {
      ...MAIL,
      flows: {
        passwordReset: {},
        passwordChange: {},
        accountDeletion: {},
        stepUp: {},
        twoFactor: { totp: {}, backupCodes: { count: 4 }, emailCode: {}, trustedBrowsers: days(30) },
      },
      rateLimits: NO_LOGIN_LIMITS,
    },
  });
  let ada: AuthUser;
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    ada = await createUser(t.app);
  });
  const send = (method: 'post' | 'delete', path: string, cookie: string, body: object = {}) =>
    request(t.url)[method](`/auth/${path}`).set('Cookie', cookie).send(body);

  describe('F22: a trusted browser is one still', () => {
    const trusted = () => t.app.get(TrustedBrowsers);
    const store = () => t.app.get(EphemeralTokenStore);
    const fault = () => Promise.reject(new Error('away'));
    const begin = async () => {
      const { value } = (await trusted().trust(ada, [], null))!;
      return { value, browser: (await trusted().find(ada, [value]))! };
    };

    it('by the value before, if there is no new one', async () => {
      const { value, browser } = await begin();
      const insert = jest.spyOn(store(), 'insert').mockImplementationOnce(fault);
      await expect(trusted().rotate(ada, browser)).rejects.toThrow('away');
      insert.mockRestore();
      expect(await trusted().find(ada, [value])).toEqual(browser);
    });

    it.each([true, false])(
      'by the new one, if nobody knows what has become of the one before (spent: %s)',
      async (isSpent) => {
        const { value, browser } = await begin();
        const take = store().take.bind(store());
        const lost = jest.spyOn(store(), 'take').mockImplementationOnce(async (...args) => {
          if (isSpent) await take(...args);
          return fault();
        });
        const next = await trusted().rotate(ada, browser);
        lost.mockRestore();
        expect(next).toMatchObject({ replaces: [value] });
        expect(await trusted().find(ada, [next!.value])).not.toBeNull();
      },
    );

    it('of parallel logins one gets another value, and there is one browser', async () => {
      const { browser } = await begin();
      const rotated = await Promise.all(Array.from({ length: 50 }, () => trusted().rotate(ada, browser)));
      expect(rotated.filter((one) => one !== null)).toHaveLength(1);
      expect(await trusted().count(ada)).toBe(1);
    });
  });

  it('F16: asking for what needs nothing to be sent uses up no code by mail', async () => {
    await enrol(t, ada);
    const { token, challenge } = await pendingLogin(t, ada);
    await send('post', '2fa/send', challenge, { token, method: 'totp' }).expect(202);
    const { remaining, limit } = await t.app.get(RateLimitService).check('email_send', `2fa ${ada.id}`);
    expect(remaining).toBe(limit);
    // Negative control.
    await mailCodesTo(t, ada);
    await send('post', '2fa/send', challenge, { token, method: 'email-code' }).expect(202);
    expect((await t.app.get(RateLimitService).check('email_send', `2fa ${ada.id}`)).remaining).toBe(limit - 1);
  });

  it.each<['post' | 'delete', string, object]>([
    ['post', 'change-password', { newPassword: NEW_PASSWORD }],
    ['delete', 'account', {}],
  ])('F40, F42: %s %s of an account with a factor asks for it', async (method, path, body) => {
    await enrol(t, ada);
    if (path === 'change-password') await t.app.get(PostgresUserDirectory).setPasswordHash(ada.id, '!');
    t.clock.advance(1);
    // As of a login that has left the second step out.
    const proved = { amr: ['password'], authenticatedAt: t.clock.now() };
    const weak = `${SESSION}=${(await t.app.get(SessionService).create(ada.id, proved)).token}`;
    const refused = await send(method, path, weak, body).expect(401);
    expect(refused.body).toMatchObject({ code: 'STEP_UP_REQUIRED', methods: expect.arrayContaining(['totp']) });
    const strong = await signInAs(t.app, ada.id, { proofs: ['password', 'totp'] });
    await send(method, path, strong, body).expect(200);
  });

  it('F41, F51: codes by mail that 100 wrong ones have disabled count again after a reset of the password', async () => {
    await mailCodesTo(t, ada);
    const store = t.app.get(EmailFactorStore);
    for (let i = 0; i < MAX_FAILURES; i++) await store.count(ada.id, MAX_FAILURES);
    const browser = new CodeBrowser(t);
    const { token, code } = await browser.asked(ada);
    expect((await browser.verify(token, code)).status).toBe(401);
    await send('post', 'forgot-password', '', { email: ada.email }).expect(202);
    const reset = (await MemoryMailer.of(t.app)).last('password_reset').token;
    // An invented link revives nothing.
    await send('post', 'reset-password', '', { token: 'A'.repeat(43), password: NEW_PASSWORD }).expect(400);
    expect(await store.count(ada.id, MAX_FAILURES)).toBeNull();
    await send('post', 'reset-password', '', { token: reset, password: NEW_PASSWORD }).expect(200);
    t.clock.advance(minutes(20));
    const again = new CodeBrowser(t);
    const held = (await again.first(ada, NEW_PASSWORD)).body as { status: string; token: string };
    // F36: it is asked for all the same.
    expect(held.status).toBe('second_factor');
    expect((await again.ask(held.token)).status).toBe(202);
    const mailed = (await MemoryMailer.of(t.app)).last('login_code').code;
    expect((await again.verify(held.token, mailed)).status).toBe(200);
  });
});
