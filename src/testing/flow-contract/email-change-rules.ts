import assert from 'node:assert/strict';
import { DAY, is, isSame, type Rule } from './contract.js';

/** `flows.emailChange`. */
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
  [
    'F42: a change of address needs a fresh session',
    async (c) => {
      const [user, browser, email] = [await c.account(c.password()), await c.browser(), c.email()];
      is(await browser.post('change-email', { email }, await c.logIn(user, DAY)), 401, 'STEP_UP_REQUIRED');
      assert.equal(await c.mails(email), 0, 'a mail went out');
    },
  ],
  [
    'F43, F45, F46: an address takes effect when it has answered, and the old one can take it back',
    async (c) => {
      const [user, email] = [await c.account(c.password()), c.email()];
      const session = await c.logIn(user);
      is(await (await c.browser()).post('change-email', { email }, session), 202);
      const { token } = await c.mail('email_change', email);
      assert.equal(await c.users.findByLogin(email), null, 'the address is in use before it has answered');
      const clean = await c.browser();
      is(await clean.post('confirm-email-change', { token }), 200);
      assert(!clean.has(c.sessionCookie), 'confirming has opened a session');
      assert.equal((await c.users.findByLogin(email))?.id, user.id, 'the account does not have the new address');
      const undo = await c.mail('email_changed', user.email);
      is(await clean.post('revert-email-change', { token: undo.token }), 200);
      assert.equal((await c.users.findByLogin(user.email))?.id, user.id, 'the account does not have the old address');
      assert(!(await c.isLive(session)), 'a session has outlived the revert');
    },
  ],
  [
    'F17: what is no single mailbox is refused, and gets no mail',
    async (c) => {
      const [browser, email] = [await c.browser(), c.email()];
      const session = await c.logIn(await c.account(c.password()));
      for (const several of [`${email},${email}`, `${email};${email}`, `<${email}>`, `a\u200b${email}`]) {
        is(await browser.post('change-email', { email: several }, session), 422, 'INVALID_INPUT');
      }
      assert.equal(await c.mails(email), 0, 'a mail went out');
    },
  ],
  [
    'F37: a link to a new password is void once the address has changed',
    async (c) => {
      const [user, browser, email, password] = [
        await c.account(c.password()),
        await c.browser(),
        c.email(),
        c.password(),
      ];
      is(await browser.post('forgot-password', { email: user.email }), 202);
      const old = await c.mail('password_reset', user.email);
      is(await browser.post('change-email', { email }, await c.logIn(user)), 202);
      const { token } = await c.mail('email_change', email);
      is(await browser.post('confirm-email-change', { token }), 200);
      is(await browser.post('reset-password', { token: old.token, password }), 400, 'INVALID_LINK');
      assert(!(await c.opens({ ...user, email }, password)), 'the old mailbox has set the password');
    },
    ['passwordReset'],
  ],
];
