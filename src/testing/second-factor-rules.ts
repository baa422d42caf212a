import assert from 'node:assert/strict';
import { is, type Answer, type Browser, type Rule } from './contract.js';

/** `flows.twoFactor`. */
export const SECOND_FACTOR_RULES: readonly Rule[] = [
  [
    'F48, F49, F11: an authenticator is asked for once a code has proved it, and a code counts once',
    async (c) => {
      if (!c.offersTotp) return;
      const [password, browser] = [c.password(), await c.browser()];
      const user = await c.account(password);
      const session = await c.logIn(user);
      const held = async () => {
        const own = await c.browser();
        const { body } = await own.post('login', { email: user.email, password });
        return { own, status: body['status'], token: body['token'] };
      };
      const secret = await setUp(browser, session);
      assert.notEqual((await held()).status, 'second_factor', 'a secret that nobody has proved is asked for');
      const old = { code: c.totp(secret, -10) };
      is(await browser.post('2fa/totp/enable', old, session), 401, 'SECOND_FACTOR_REFUSED');
      const used = c.totp(secret);
      is(await browser.post('2fa/totp/enable', { code: used }, session), 200);
      const { own, status, token } = await held();
      assert.equal(status, 'second_factor', 'the password alone logs in');
      assert(!own.has(c.sessionCookie), 'there is a session before the second factor');
      const method = 'totp';
      is(await own.post('2fa/verify', { token, method, code: used }), 401, 'SECOND_FACTOR_REFUSED');
      const code = c.totp(secret, 1);
      is(await own.post('2fa/verify', { token, method, code }), 200);
      assert(own.has(c.sessionCookie), 'a right code has opened no session');
      const next = await held();
      is(await next.own.post('2fa/verify', { token: next.token, method, code }), 401, 'SECOND_FACTOR_REFUSED');
    },
  ],
  [
    'F12, F51: wrong codes share one budget: over methods, transports, challenges, step-up and enrolment',
    async (c) => {
      if (!c.offersTotp) return;
      const { twoFactor, stepUp } = c.config.flows;
      const [password, browser] = [c.password(), await c.browser()];
      const user = await c.account(password);
      const session = await c.logIn(user);
      const secret = await setUp(browser, session);
      is(await browser.post('2fa/totp/enable', { code: c.totp(secret) }, session), 200);
      await setUp(browser);
      const hold = async (path: 'login' | 'token') => {
        const own = await c.browser();
        const { body } = await own.post(path, { email: user.email, password });
        return (method: string, code: string) => own.post('2fa/verify', { token: body['token'], method, code });
      };
      const [wrong, right] = [c.totp(secret, -10), c.totp(secret, 1)];
      const [byCookie, other, byToken] = [await hold('login'), await hold('login'), await hold('token')];
      const stepsUp = (code: string) => browser.post('step-up', { method: 'totp', code });
      const guesses: (() => Promise<Answer>)[] = [
        () => byCookie('totp', wrong),
        () => byToken('totp', wrong),
        () => browser.post('2fa/totp/enable', { code: wrong }),
        ...(stepUp ? [() => stepsUp(wrong)] : []),
        ...(twoFactor?.backupCodes ? [() => other('backup-code', 'AAAA-AAAA-AAAA-AAAA')] : []),
      ];
      for (let i = 0; i < c.wrongCodes; i++) {
        is(await guesses[i % guesses.length]!(), 401, 'SECOND_FACTOR_REFUSED');
      }
      for (const held of [byCookie, other, byToken]) is(await held('totp', right), 429, 'RATE_LIMITED');
      if (stepUp) is(await stepsUp(right), 429, 'RATE_LIMITED');
    },
  ],
];

/** The secret that is shown to this session, by default that of the browser. */
async function setUp(browser: Browser, session?: string): Promise<string> {
  const shown = await browser.post('2fa/totp/setup', {}, session);
  is(shown, 200);
  return String(shown.body['secret']);
}
