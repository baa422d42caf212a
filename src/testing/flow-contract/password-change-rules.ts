import assert from 'node:assert/strict';
import { is, DAY, weakPasswords, type Rule } from './contract.js';

/** `flows.passwordChange`. */
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
  [
    'F39: a changed password ends the other sessions and the own token',
    async (c) => {
      const [currentPassword, newPassword, browser] = [c.password(), c.password(), await c.browser()];
      const user = await c.account(currentPassword);
      const [own, other] = [await c.logIn(user), await c.logIn(user)];
      is(await browser.post('change-password', { currentPassword: newPassword, newPassword }, own), 401);
      assert(await c.isLive(own), 'a wrong password has ended the session');
      is(await browser.post('change-password', { currentPassword, newPassword }, own), 200);
      assert(browser.has(c.sessionCookie), 'the session has no new token');
      for (const cookie of [own, other]) assert(!(await c.isLive(cookie)), 'an old token is still good');
    },
  ],
  [
    'F22: while the directory is away it is 503, and neither the password nor the session has changed',
    async (c) => {
      const [currentPassword, newPassword, browser] = [c.password(), c.password(), await c.browser()];
      const user = await c.account(currentPassword);
      const session = await c.logIn(user);
      const change = () => browser.post('change-password', { currentPassword, newPassword }, session);
      await c.whileAway('setPasswordHash', async () => is(await change(), 503));
      assert(await c.isLive(session), 'the session has ended');
      assert(await c.opens(user, currentPassword), 'the password has changed');
      assert.equal(await c.mails(user.email), 0, 'a mail went out');
    },
  ],
  [
    'F33: a weak password is refused, and changes nothing',
    async (c) => {
      const [currentPassword, browser] = [c.password(), await c.browser()];
      const user = await c.account(currentPassword);
      const session = await c.logIn(user);
      for (const newPassword of weakPasswords(user.email)) {
        is(await browser.post('change-password', { currentPassword, newPassword }, session), 422);
      }
      assert(await c.opens(user, currentPassword), 'the password has changed');
    },
  ],
  [
    'F37: a link to a new password is void once the password has changed',
    async (c) => {
      const [currentPassword, newPassword, browser] = [c.password(), c.password(), await c.browser()];
      const user = await c.account(currentPassword);
      is(await browser.post('forgot-password', { email: user.email }), 202);
      const { token } = await c.mail('password_reset', user.email);
      const session = await c.logIn(user);
      is(await browser.post('change-password', { currentPassword, newPassword }, session), 200);
      is(await browser.post('reset-password', { token, password: c.password() }), 400, 'INVALID_LINK');
      assert(await c.opens(user, newPassword), 'the password has changed again');
    },
    ['passwordReset'],
  ],
  [
    'F40: a first password needs a fresh session',
    async (c) => {
      const [user, browser, newPassword] = [await c.account(null), await c.browser(), c.password()];
      const change = (session: string) => browser.post('change-password', { newPassword }, session);
      is(await change(await c.logIn(user, DAY)), 401, 'STEP_UP_REQUIRED');
      assert(!(await c.opens(user, newPassword)), 'a stale session has set the password');
      is(await change(await c.logIn(user)), 200);
      assert(await c.opens(user, newPassword), 'the password does not log in');
    },
  ],
];
