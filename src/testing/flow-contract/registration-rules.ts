import assert from 'node:assert/strict';
import { is, isSame, weakPasswords, type Rule } from './contract.js';

/** `flows.registration`. */
export const REGISTRATION_RULES: readonly Rule[] = [
  [
    'F28, F32: there is no account before the mailbox is proved, and then it has no role',
    async (c) => {
      const [browser, email, password] = [await c.browser(), c.email(), c.password()];
      is(await browser.post('register', { email, password }), 202);
      const { token } = await c.mail('registration', email);
      assert.equal(await c.users.findByLogin(email), null, 'there is an account before the link was used');
      is(await browser.post('register/confirm', { token }), 200);
      const user = await c.users.findByLogin(email);
      assert(user, 'there is no account after the link was used');
      assert.deepEqual(user.roles ?? [], [], 'the new account has roles');
      is(await browser.post('register/confirm', { token }), 400, 'INVALID_LINK');
    },
  ],
  [
    'F29: from another browser the link needs the password again',
    async (c) => {
      const [email, password] = [c.email(), c.password()];
      is(await (await c.browser()).post('register', { email, password }), 202);
      const [{ token }, other] = [await c.mail('registration', email), await c.browser()];
      is(await other.post('register/confirm', { token }), 422, 'INVALID_INPUT');
      is(await other.post('register/confirm', { token, password: c.password() }), 401, 'INVALID_CREDENTIALS');
      assert.equal(await c.users.findByLogin(email), null, 'a wrong password has opened the account');
    },
  ],
  [
    'F30: a taken address is answered as a free one, and its owner is told',
    async (c) => {
      const [owner, browser] = [await c.account(c.password()), await c.browser()];
      const password = c.password();
      const taken = await browser.post('register', { email: owner.email, password });
      isSame(taken, await (await c.browser()).post('register', { email: c.email(), password }), 'a taken address');
      await c.mail('already_registered', owner.email);
    },
  ],
  [
    'F31: of several confirmations at once one opens the account',
    async (c) => {
      const [browser, email] = [await c.browser(), c.email()];
      is(await browser.post('register', { email, password: c.password() }), 202);
      const { token } = await c.mail('registration', email);
      const answers = await Promise.all([1, 2, 3, 4].map(() => browser.post('register/confirm', { token })));
      assert.equal(answers.filter(({ status }) => status === 200).length, 1, 'not exactly one confirmation succeeded');
    },
  ],
  [
    'F21: a field that is not expected is refused and named',
    async (c) => {
      const body = { email: c.email(), password: c.password(), roles: ['admin'] };
      const refused = await (await c.browser()).post('register', body);
      is(refused, 422, 'INVALID_INPUT');
      assert.deepEqual(Object.keys(Object(refused.body['fields']) as object), ['roles']);
    },
  ],
  [
    'F17: what is no single mailbox is refused, and gets no mail',
    async (c) => {
      const [browser, email] = [await c.browser(), c.email()];
      for (const several of [`${email},${email}`, `${email};${email}`, `<${email}>`, `a\u200b${email}`]) {
        is(await browser.post('register', { email: several, password: c.password() }), 422, 'INVALID_INPUT');
      }
      assert.equal(await c.mails(email), 0, 'a mail went out');
    },
  ],
  [
    'F33: a weak password is refused',
    async (c) => {
      const [browser, email] = [await c.browser(), c.email()];
      for (const password of weakPasswords(email)) is(await browser.post('register', { email, password }), 422);
    },
  ],
];
