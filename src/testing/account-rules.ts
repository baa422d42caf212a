import assert from 'node:assert/strict';
import { DAY, is, isSame, type Rule } from './contract.js';

const CROSS_SITE = { 'Sec-Fetch-Site': 'cross-site' };

/** Of a password that was forgotten. */
export const PASSWORD_RESET_RULES: readonly Rule[] = [
  [
    'F16, F19, F34: neither another site nor whoever opens the link sets a password, and a blank one is none',
    async (c) => {
      const [owner, browser, password] = [await c.account(c.password()), await c.browser(), c.password()];
      is(await browser.post('forgot-password', { email: owner.email }), 202);
      const { token } = await c.mail('password_reset', owner.email);
      const body = { token, password };
      is(await browser.send('POST', 'reset-password', body, undefined, CROSS_SITE), 403, 'CROSS_ORIGIN_REQUEST');
      for (const method of ['HEAD', 'GET']) await browser.send(method, `reset-password?token=${token}`);
      is(await browser.post('reset-password', { token, password: '' }), 422);
      assert.equal(await c.users.verifyCredentials(owner.email, password), null, 'the password is there already');
      is(await browser.post('reset-password', body), 200);
    },
  ],
];

/** Of a password that its owner knows. */
export const PASSWORD_CHANGE_RULES: readonly Rule[] = [
  [
    'F26, F34: the owner is told of a new password once, and a blank one is none',
    async (c) => {
      const [currentPassword, browser] = [c.password(), await c.browser()];
      const user = await c.account(currentPassword);
      const session = await c.logIn(user);
      is(await browser.post('change-password', { currentPassword, newPassword: '' }, session), 422);
      assert.equal(await c.mails(user.email), 0, 'a mail went out before anything had changed');
      is(await browser.post('change-password', { currentPassword, newPassword: c.password() }, session), 200);
      await c.mail('password_changed', user.email);
      assert.equal(await c.mails(user.email), 1, 'more than one mail went out');
    },
  ],
];

/** Of a change of address. */
export const EMAIL_CHANGE_RULES: readonly Rule[] = [
  [
    'F44: a taken address is answered as a free one, and gets no mail',
    async (c) => {
      const [user, other, browser] = [await c.account(c.password()), await c.account(c.password()), await c.browser()];
      const session = await c.logIn(user);
      const taken = await browser.post('change-email', { email: other.email }, session);
      is(taken, 202);
      isSame(taken, await browser.post('change-email', { email: c.email() }, session), 'a free address');
      assert.equal(await c.mails(other.email), 0, 'the owner of the taken address got a mail');
    },
  ],
  [
    'F86: a refusal for want of a fresh proof says so as RFC 9470 has it, and logs nobody out',
    async (c) => {
      const [user, browser] = [await c.account(c.password()), await c.browser()];
      const stale = await c.logIn(user, DAY);
      const refused = await browser.post('change-email', { email: c.email() }, stale);
      is(refused, 401, 'STEP_UP_REQUIRED');
      const challenge = refused.headers.get('www-authenticate') ?? '';
      assert.match(challenge, /^Bearer .*error="insufficient_user_authentication"/, 'the header does not say why');
      assert.match(challenge, /max_age="\d+"/, 'the header does not say how fresh');
      assert.equal(refused.headers.getSetCookie().length, 0, 'a cookie was set');
      assert(await c.isLive(stale), 'the session has ended');
    },
  ],
];
