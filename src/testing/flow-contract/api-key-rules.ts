import assert from 'node:assert/strict';
import { DAY, is, type Rule } from './contract.js';

/** `flows.apiKeys`. */
export const API_KEY_RULES: readonly Rule[] = [
  [
    'F80: an API key is made in a fresh session, and reaches none of the routes of accounts',
    async (c) => {
      const [user, browser] = [await c.account(c.password()), await c.browser()];
      const body = { name: 'Contract', scopes: c.scopes.slice(0, 1), expiresIn: 60 };
      is(await browser.post('api-keys', body, await c.logIn(user, DAY)), 401, 'STEP_UP_REQUIRED');
      const session = await c.logIn(user);
      const made = await browser.post('api-keys', body, session);
      is(made, 201);
      const key = String(made.body['key']);
      assert.match(key, /^lk_[A-Za-z0-9_-]{43}$/, 'not an API key');
      const listed = await browser.send('GET', 'api-keys', undefined, session);
      assert(!listed.text.includes(key), 'a list shows the key');
      const byKey = { Authorization: `Bearer ${key}` };
      for (const path of ['session', 'sessions', 'api-keys']) {
        is(await browser.send('GET', path, undefined, '', byKey), 401, 'UNAUTHENTICATED');
      }
      is(await browser.send('POST', 'api-keys', body, '', byKey), 401, 'UNAUTHENTICATED');
      is(await browser.send('DELETE', `api-keys/${String(made.body['id'])}`, undefined, session), 200);
    },
  ],
];
