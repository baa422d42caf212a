import assert from 'node:assert/strict';
import { DAY, is, type Rule } from './contract.js';

/** `flows.accountDeletion`. */
export const ACCOUNT_DELETION_RULES: readonly Rule[] = [
  [
    'F42: a deletion needs a fresh session, and ends every session',
    async (c) => {
      const [user, browser] = [await c.account(c.password()), await c.browser()];
      const stale = await c.logIn(user, DAY);
      is(await browser.send('DELETE', 'account', undefined, stale), 401, 'STEP_UP_REQUIRED');
      is(await browser.send('DELETE', 'account', undefined, await c.logIn(user)), 200);
      assert.equal(await c.users.findById(user.id), null, 'the account is still there');
      assert(!(await c.isLive(stale)), 'a session has outlived the account');
    },
  ],
  [
    'F22: while the directory is away it is 503, and the account and its session stay',
    async (c) => {
      const [user, browser] = [await c.account(c.password()), await c.browser()];
      const session = await c.logIn(user);
      await c.whileAway('delete', async () => is(await browser.send('DELETE', 'account', undefined, session), 503));
      assert(await c.isLive(session), 'the session has ended');
      is(await browser.send('DELETE', 'account', undefined, session), 200);
    },
  ],
];
