import assert from 'node:assert/strict';
import { DAY, is, type Rule } from './contract.js';

/** `flows.stepUp`. */
export const STEP_UP_RULES: readonly Rule[] = [
  [
    'F83, F84: only the own password steps up, and the old token does not follow',
    async (c) => {
      const [password, browser] = [c.password(), await c.browser()];
      const session = await c.logIn(await c.account(password), DAY);
      is(await browser.post('step-up', { method: 'password', password: c.password() }, session), 401);
      is(await browser.post('step-up', { method: 'password', password }, session), 200);
      assert(browser.has(c.sessionCookie), 'the session has no new token');
      assert(!(await c.isLive(session)), 'the old token is still good');
    },
  ],
  [
    'F82: only a proof makes a session fresh, not its use',
    async (c) => {
      const browser = await c.browser();
      const session = await c.logIn(await c.account(c.password()), DAY);
      const provedAt = async () => (await browser.send('GET', 'step-up', undefined, session)).body['authenticatedAt'];
      const before = await provedAt();
      for (const path of ['session', 'sessions']) is(await browser.send('GET', path, undefined, session), 200);
      assert.equal(typeof before, 'string', 'GET step-up does not say when the user proved who they are');
      assert.equal(await provedAt(), before, 'its use has made the session fresh');
    },
  ],
  [
    'F85: an account without a password cannot step up by one, and is not asked to',
    async (c) => {
      const browser = await c.browser();
      const session = await c.logIn(await c.account(null), DAY);
      const state = await browser.send('GET', 'step-up', undefined, session);
      is(state, 200);
      assert(!(state.body['methods'] as string[]).includes('password'), 'a password is asked for');
      for (const password of ['!', 'password', c.password()]) {
        const { status } = await browser.post('step-up', { method: 'password', password }, session);
        assert([401, 422].includes(status), `a step-up by a password that there is not is answered ${status}`);
      }
      assert(await c.isLive(session), 'the session has ended');
    },
  ],
];
