import assert from 'node:assert/strict';
import { DAY, is, type Rule } from './contract.js';

/** `flows.passkeys`. */
export const PASSKEY_RULES: readonly Rule[] = [
  [
    'F73: a passkey is added in a fresh session only',
    async (c) => {
      const [user, browser] = [await c.account(c.password()), await c.browser()];
      is(await browser.post('passkeys/options', {}, await c.logIn(user, DAY)), 401, 'STEP_UP_REQUIRED');
      is(await browser.post('passkeys/options', {}, await c.logIn(user)), 200);
    },
  ],
  [
    'F75: the options of a login name no passkey, and differ each time',
    async (c) => {
      const ask = async () => (await (await c.browser()).post('passkey-login/options', {})).body;
      const [one, other] = [await ask(), await ask()];
      assert.equal(one['allowCredentials'], undefined, 'the options name passkeys');
      assert.notEqual(one['challenge'], other['challenge'], 'a challenge is given out twice');
    },
  ],
];
