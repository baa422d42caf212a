import assert from 'node:assert/strict';
import { is, type Rule } from './contract.js';

/** `flows.admin`. */
export const ADMIN_RULES: readonly Rule[] = [
  [
    'F81: whoever has lost the role is refused by the next request, and stays logged in',
    async (c) => {
      if (c.config.flows.admin?.routes === false) return;
      const [user, browser] = [await c.account(c.password()), await c.browser()];
      const session = await c.logIn(user);
      const look = () => browser.send('GET', 'p/admin', undefined, session);
      is(await look(), 403);
      await c.users.setRoles(user.id, ['admin']);
      is(await look(), 200);
      await c.users.setRoles(user.id, []);
      is(await look(), 403);
      assert(await c.isLive(session), 'the session has ended');
    },
  ],
];
