import assert from 'node:assert/strict';
import { is, isSame, weakPasswords, type Rule } from './contract.js';

const CROSS_SITE = { 'Sec-Fetch-Site': 'cross-site' };

/** `flows.passwordReset`. */
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
  [
    'F14: an unknown address is answered as a known one',
    async (c) => {
      const [owner, browser] = [await c.account(c.password()), await c.browser()];
      const known = await browser.post('forgot-password', { email: owner.email });
      is(known, 202);
      isSame(known, await browser.post('forgot-password', { email: c.email() }), 'an unknown address');
      await c.mail('password_reset', owner.email);
    },
  ],
  [
    'F35, F36: a link works once, ends every session and opens none',
    async (c) => {
      const [owner, browser, password] = [await c.account(c.password()), await c.browser(), c.password()];
      const session = await c.logIn(owner);
      is(await browser.post('forgot-password', { email: owner.email }), 202);
      const { token } = await c.mail('password_reset', owner.email);
      is(await browser.post('reset-password', { token, password }), 200);
      assert(!browser.has(c.sessionCookie), 'a reset has opened a session');
      assert(!(await c.isLive(session)), 'a session has outlived the reset');
      is(await browser.post('reset-password', { token, password: c.password() }), 400, 'INVALID_LINK');
      assert(await c.users.verifyCredentials(owner.email, password), 'the new password does not log in');
    },
  ],
  [
    'F33: a weak password is refused and spends no link, a long one counts to its last character',
    async (c) => {
      const [owner, browser] = [await c.account(c.password()), await c.browser()];
      is(await browser.post('forgot-password', { email: owner.email }), 202);
      const { token } = await c.mail('password_reset', owner.email);
      for (const password of weakPasswords(owner.email))
        is(await browser.post('reset-password', { token, password }), 422);
      const password = `${c.password()} ${'ünï𝒸ode '.repeat(8)}${c.password()}`;
      is(await browser.post('reset-password', { token, password }), 200);
      assert(await c.opens(owner, password), 'the new password does not log in');
      assert(!(await c.opens(owner, password.slice(0, -1))), 'without its last character it logs in too');
    },
  ],
  [
    'F38: an account without a password gets the answer of one with it, and no link unless allowNew',
    async (c) => {
      const [owner, other, browser] = [await c.account(null), await c.account(c.password()), await c.browser()];
      const answer = await browser.post('forgot-password', { email: owner.email });
      isSame(answer, await browser.post('forgot-password', { email: other.email }), 'an account without a password');
      await c.mail(c.config.flows.passwordReset!.allowNew ? 'password_reset' : 'no_password', owner.email);
      assert.equal(await c.mails(owner.email), 1, 'more than one mail went out');
    },
  ],
  [
    'F41: too many wrong passwords in a row disable it, its owner is told once, and a reset revives it',
    async (c) => {
      const [password, next, browser] = [c.password(), c.password(), await c.browser()];
      const owner = await c.account(password);
      await c.disablePassword(owner);
      assert(!(await c.opens(owner, password)), 'the password logs in');
      await c.mail('password_disabled', owner.email);
      assert.equal(await c.mails(owner.email), 1, 'more than one mail went out');
      assert(await c.isLive(await c.logIn(owner)), 'no other way in works');
      is(await browser.post('forgot-password', { email: owner.email }), 202);
      const { token } = await c.mail('password_reset', owner.email);
      is(await browser.post('reset-password', { token, password: next }), 200);
      assert(await c.opens(owner, next), 'the new password does not log in');
    },
  ],
];
