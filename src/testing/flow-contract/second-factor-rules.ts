import assert from 'node:assert/strict';
import { is, type Answer, type Browser, type Contract, type Rule } from './contract.js';

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
  [
    'F13: a success gives its account new tries, and no other',
    async (c) => {
      if (!c.offersTotp) return;
      const [one, other] = [await enrolled(c), await enrolled(c)];
      for (const { guess } of [one, other]) {
        for (let i = 1; i < c.wrongCodes; i++) is(await guess(-10), 401, 'SECOND_FACTOR_REFUSED');
      }
      is(await one.guess(1), 200);
      for (const { guess } of [one, other]) is(await guess(-10), 401, 'SECOND_FACTOR_REFUSED');
      is(await other.guess(1), 429, 'RATE_LIMITED');
    },
  ],
  [
    'F23: a login that waits for its second factor can be completed, and nothing else',
    async (c) => {
      if (!c.offersTotp) return;
      const { hold } = await enrolled(c);
      const { browser, token, verify } = await hold();
      const bearer = { Authorization: `Bearer ${token}` };
      for (const [method, path] of OF_A_SESSION) {
        for (const headers of [{}, bearer]) {
          const { status } = await browser.send(method, path, method === 'GET' ? undefined : {}, undefined, headers);
          // What is not mounted is 404.
          assert([401, 404].includes(status), `${method} ${path} answered ${status} before the second factor`);
        }
      }
      is(await browser.post('2fa/totp/setup', { token }), 401, 'SECOND_FACTOR_REFUSED');
      is(await verify(1), 200);
    },
  ],
  [
    'F24: of several uses of one code at once one succeeds',
    async (c) => {
      if (!c.offersTotp) return;
      const { hold } = await enrolled(c);
      const held = [await hold(), await hold(), await hold()];
      const answers = await Promise.all(held.map(({ verify }) => verify(1)));
      assert.equal(answers.filter(({ status }) => status === 200).length, 1, 'not exactly one use succeeded');
    },
  ],
  [
    'F25: a login that began before its user signed out everywhere cannot be completed',
    async (c) => {
      if (!c.offersTotp) return;
      const { hold, session } = await enrolled(c);
      const { browser, verify } = await hold();
      is(await (await c.browser()).send('POST', 'logout-all', undefined, session), 200);
      is(await verify(1), 401);
      assert(!browser.has(c.sessionCookie), 'there is a session');
    },
  ],
];

/** What a session may do, and a login that waits for its second factor may not. */
const OF_A_SESSION = [
  ['GET', 'session'],
  ['GET', 'sessions'],
  ['GET', 'step-up'],
  ['POST', 'step-up'],
  ['POST', 'change-password'],
  ['POST', 'change-email'],
  ['POST', 'passkeys/options'],
  ['POST', 'api-keys'],
  ['POST', 'logout-all'],
  ['DELETE', 'account'],
] as const;

/** An account with an authenticator, which its user logs in to by the code of so many steps from now. */
async function enrolled(c: Contract) {
  const [password, own] = [c.password(), await c.browser()];
  const user = await c.account(password);
  const first = await c.logIn(user);
  const secret = await setUp(own, first);
  is(await own.post('2fa/totp/enable', { code: c.totp(secret) }, first), 200);
  const hold = async () => {
    const browser = await c.browser();
    const { body } = await browser.post('login', { email: user.email, password });
    const token = String(body['token']);
    const verify = (steps: number) =>
      browser.post('2fa/verify', { token, method: 'totp', code: c.totp(secret, steps) });
    return { browser, token, verify };
  };
  const guess = async (steps: number) => (await hold()).verify(steps);
  return { hold, guess, session: own.cookie(c.sessionCookie) };
}

/** The secret that is shown to this session, by default that of the browser. */
async function setUp(browser: Browser, session?: string): Promise<string> {
  const shown = await browser.post('2fa/totp/setup', {}, session);
  is(shown, 200);
  return String(shown.body['secret']);
}
