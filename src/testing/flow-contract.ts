import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { INestApplication } from '@nestjs/common';
import type { FlowName } from '../config/flow-settings.js';
import { EMAIL_CHANGE_RULES, PASSWORD_CHANGE_RULES, PASSWORD_RESET_RULES } from './account-rules.js';
import { Contract, DAY, is, isSame, type Rule } from './contract.js';
import { OIDC_RULES } from './oidc-rules.js';
import { SECOND_FACTOR_RULES } from './second-factor-rules.js';

/** A rule that a flow keeps, as a test for your own test runner. */
export interface FlowRule {
  /** With the code by which docs/requirements.md names it. */
  readonly title: string;
  /** Rejects, and says what was wrong, if the application does not keep the rule. */
  readonly run: () => Promise<void>;
}

export interface FlowContractOptions {
  /** The flows that the application has. */
  flows: readonly FlowName[];
  /** An address that no account has. Default: random ones at `example.com`. */
  email?: () => string;
  /** A password that your policy accepts, and no account has. Default: 24 random characters. */
  password?: () => string;
}

/**
 * The rules of the flows, to be run against your own configuration: your directory, your policy, your guards and
 * interceptors. The application must be listening, and its `mailer` be `MemoryMailer`. The rules make accounts of their
 * own, and send some twenty requests a flow, so they stay below the default limits once.
 *
 * @example
 * ```ts
 * for (const { title, run } of flowContract(() => app, { flows: ['registration', 'passwordReset'] })) test(title, run);
 * ```
 */
export function flowContract(
  app: () => INestApplication,
  { flows, email = randomAddress, password = randomPassword }: FlowContractOptions,
): FlowRule[] {
  return flows.flatMap((flow) =>
    RULES[flow].map(([title, rule]) => ({ title, run: () => rule(new Contract(app(), email, password)) })),
  );
}

const randomAddress = () => `contract-${randomBytes(9).toString('hex')}@example.com`;
const randomPassword = () => randomBytes(18).toString('base64url');

const RULES: Readonly<Record<FlowName, readonly Rule[]>> = {
  admin: [],
  pages: [
    [
      'F87: no page is framed, and none runs anything but its own files',
      async (c) => {
        const browser = await c.browser();
        for (const page of ['p/sign-in', 'p/sign-in?next=https://example.org', 'p/two-factor']) {
          const { status, headers, text } = await browser.send('GET', page);
          if (status === 303) continue;
          assert.equal(status, 200, `GET ${page} answered ${status}`);
          const policy = headers.get('content-security-policy') ?? '';
          for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) {
            assert(policy.includes(part), `${page}: the Content-Security-Policy lacks ${part}`);
          }
          assert(!policy.includes('unsafe'), `${page}: the Content-Security-Policy allows something unsafe`);
          assert.equal(headers.get('cache-control'), 'no-store', `${page} may be kept by a cache`);
          assert(!text.includes('example.org'), `${page} leads to another site`);
        }
      },
    ],
  ],
  oidc: OIDC_RULES,
  apiKeys: [
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
  ],
  registration: [
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
        assert.equal(
          answers.filter(({ status }) => status === 200).length,
          1,
          'not exactly one confirmation succeeded',
        );
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
  ],
  magicLink: [
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
  ],
  passwordReset: [
    ...PASSWORD_RESET_RULES,
    [
      'F14: an unknown address is answered as a known one',
      async (c) => {
        const [owner, browser] = [await c.account(c.password()), await c.browser()];
        const known = await browser.post('forgot-password', { email: owner.email });
        is(known, 202);
        isSame(known, await browser.post('forgot-password', { email: c.email() }), 'an unknown address');
        await c.mail('password_reset', owner.email);
      },
    ],
    [
      'F35, F36: a link works once, ends every session and opens none',
      async (c) => {
        const [owner, browser, password] = [await c.account(c.password()), await c.browser(), c.password()];
        const session = await c.logIn(owner);
        is(await browser.post('forgot-password', { email: owner.email }), 202);
        const { token } = await c.mail('password_reset', owner.email);
        is(await browser.post('reset-password', { token, password }), 200);
        assert(!browser.has(c.sessionCookie), 'a reset has opened a session');
        assert(!(await c.isLive(session)), 'a session has outlived the reset');
        is(await browser.post('reset-password', { token, password: c.password() }), 400, 'INVALID_LINK');
        assert(await c.users.verifyCredentials(owner.email, password), 'the new password does not log in');
      },
    ],
  ],
  passwordChange: [
    ...PASSWORD_CHANGE_RULES,
    [
      'F39: a changed password ends the other sessions and the own token',
      async (c) => {
        const [currentPassword, newPassword, browser] = [c.password(), c.password(), await c.browser()];
        const user = await c.account(currentPassword);
        const [own, other] = [await c.logIn(user), await c.logIn(user)];
        is(await browser.post('change-password', { currentPassword: newPassword, newPassword }, own), 401);
        assert(await c.isLive(own), 'a wrong password has ended the session');
        is(await browser.post('change-password', { currentPassword, newPassword }, own), 200);
        assert(browser.has(c.sessionCookie), 'the session has no new token');
        for (const cookie of [own, other]) assert(!(await c.isLive(cookie)), 'an old token is still good');
      },
    ],
  ],
  emailChange: [
    ...EMAIL_CHANGE_RULES,
    [
      'F42: a change of address needs a fresh session',
      async (c) => {
        const [user, browser, email] = [await c.account(c.password()), await c.browser(), c.email()];
        is(await browser.post('change-email', { email }, await c.logIn(user, DAY)), 401, 'STEP_UP_REQUIRED');
        assert.equal(await c.mails(email), 0, 'a mail went out');
      },
    ],
    [
      'F43, F45, F46: an address takes effect when it has answered, and the old one can take it back',
      async (c) => {
        const [user, email] = [await c.account(c.password()), c.email()];
        const session = await c.logIn(user);
        is(await (await c.browser()).post('change-email', { email }, session), 202);
        const { token } = await c.mail('email_change', email);
        assert.equal(await c.users.findByLogin(email), null, 'the address is in use before it has answered');
        const clean = await c.browser();
        is(await clean.post('confirm-email-change', { token }), 200);
        assert(!clean.has(c.sessionCookie), 'confirming has opened a session');
        assert.equal((await c.users.findByLogin(email))?.id, user.id, 'the account does not have the new address');
        const undo = await c.mail('email_changed', user.email);
        is(await clean.post('revert-email-change', { token: undo.token }), 200);
        assert.equal((await c.users.findByLogin(user.email))?.id, user.id, 'the account does not have the old address');
        assert(!(await c.isLive(session)), 'a session has outlived the revert');
      },
    ],
  ],
  accountDeletion: [
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
  ],
  twoFactor: SECOND_FACTOR_RULES,
  passkeys: [
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
  ],
  stepUp: [
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
  ],
};
