import assert from 'node:assert/strict';
import { DAY, is, isSame, type Contract, type Rule } from './contract.js';

/** `flows.oidc`: what holds before a provider is asked, so that none is needed. */
export const OIDC_RULES: readonly Rule[] = [
  [
    'F66: a login at a provider begins by a POST of a page of its own',
    async (c) => {
      for (const id of providersOf(c)) {
        const browser = await c.browser();
        const { status } = await browser.send('GET', `oidc/${id}/start`);
        assert.equal(status, 404, `GET oidc/${id}/start answered ${status}`);
        const foreign = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://elsewhere.example' };
        is(await browser.send('POST', `oidc/${id}/start`, {}, undefined, foreign), 403, 'CROSS_ORIGIN_REQUEST');
      }
    },
  ],
  [
    'F20: it leads to no other site',
    async (c) => {
      const browser = await c.browser();
      for (const id of providersOf(c)) {
        for (const returnTo of ['https://elsewhere.example/', '//elsewhere.example', '/\\elsewhere.example']) {
          is(await browser.post(`oidc/${id}/start`, { returnTo }), 422, 'INVALID_INPUT');
        }
      }
    },
  ],
  [
    'F58, F69: an answer that nobody has asked for opens nothing, and is always refused alike',
    async (c) => {
      for (const id of providersOf(c)) {
        // Of a browser that has begun a login there, and of one that has not.
        const begun = `${c.sessionCookie}-oidc=${'A'.repeat(43)}`;
        const refuse = async (query: string, cookie = begun) => {
          const browser = await c.browser();
          const answer = await browser.send('GET', `oidc/${id}/callback?${query}`, undefined, cookie);
          assert.equal(answer.status, 303, `the callback of ${id} answered ${answer.status}`);
          assert(!browser.has(c.sessionCookie), 'there is a session');
          return answer;
        };
        const state = 'A'.repeat(43);
        const first = await refuse(`state=${state}&code=invented`);
        const shown = encodeURIComponent('<b>shown</b>\r\nX-Injected: yes');
        for (const query of [
          '',
          'code=invented',
          'state=x&code=x',
          `error=x&error_description=${shown}&state=${state}`,
        ]) {
          isSame(await refuse(query), first, `the callback of ${id} with '${query}'`);
          // Which no limit counts.
          const { headers } = await refuse(query, '');
          assert.equal(
            headers.get('location'),
            first.headers.get('location'),
            `the callback of ${id} without a cookie`,
          );
        }
      }
    },
  ],
  [
    'F65: an invented token opens no session',
    async (c) => {
      const browser = await c.browser();
      const answer = await browser.post('oidc/exchange', { token: 'A'.repeat(43) });
      assert([400, 401].includes(answer.status), `POST oidc/exchange answered ${answer.status}`);
      assert(!browser.has(c.sessionCookie), 'there is a session');
    },
  ],
  [
    'F63: an account at a provider is linked in a fresh session only',
    async (c) => {
      const [user, browser] = [await c.account(c.password()), await c.browser()];
      for (const id of providersOf(c)) {
        is(await browser.post(`oidc/${id}/link`, {}), 401, 'UNAUTHENTICATED');
        is(await browser.post(`oidc/${id}/link`, {}, await c.logIn(user, DAY)), 401, 'STEP_UP_REQUIRED');
      }
    },
  ],
  [
    'F27: the list of providers names them, and no secret of theirs',
    async (c) => {
      const { status, text } = await (await c.browser()).send('GET', 'oidc');
      assert.equal(status, 200);
      for (const { id, clientSecret } of c.config.flows.oidc!.providers) {
        assert(text.includes(JSON.stringify(id)), `the list lacks ${id}`);
        const secret = await clientSecretOf(clientSecret);
        assert(secret === undefined || !text.includes(secret), `the list tells the secret of ${id}`);
      }
    },
  ],
];

const providersOf = ({ config }: Contract): readonly string[] => config.flows.oidc!.providers.map(({ id }) => id);

type Secret = string | (() => string | Promise<string>) | undefined;
const clientSecretOf = (secret: Secret) => (typeof secret === 'function' ? secret() : secret);
