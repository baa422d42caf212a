import assert from 'node:assert/strict';
import { is, isSame, type Rule } from './contract.js';

/** `flows.magicLink`. */
export const MAGIC_LINK_RULES: readonly Rule[] = [
  [
    'F14: an unknown address is answered as a known one',
    async (c) => {
      const owner = await c.account(c.password());
      const known = await (await c.browser()).post('magic-link', { email: owner.email });
      is(known, 202);
      isSame(known, await (await c.browser()).post('magic-link', { email: c.email() }), 'an unknown address');
      await c.mail('magic_link', owner.email);
    },
  ],
  [
    'F76: a link opens a session once, and in no other browser than the one that asked',
    async (c) => {
      const [owner, browser, other] = [await c.account(c.password()), await c.browser(), await c.browser()];
      is(await browser.post('magic-link', { email: owner.email }), 202);
      const { token, code } = await c.mail('magic_link', owner.email);
      is(await other.post('magic-link/confirm', { token }), 400, 'INVALID_LINK');
      is(await other.post('magic-link/confirm', { code }), 400, 'INVALID_LINK');
      assert(!other.has(c.sessionCookie), 'another browser has a session');
      is(await browser.post('magic-link/confirm', { code }), 200);
      assert(browser.has(c.sessionCookie), 'the code has opened no session');
      is(await browser.post('magic-link/confirm', { token }), 400, 'INVALID_LINK');
    },
  ],
];
