import { beforeEach, describe, expect, it } from '@jest/globals';
import { days, hours, PostgresUserDirectory, type AuthOptions, type AuthUser } from 'nestjs-latchkey';
import { AuditLog } from 'nestjs-latchkey/engine';
import { LoginService, PasswordLogin } from 'nestjs-latchkey/flows';
import request from 'supertest';
import {
  CHEAP_HASHES,
  createUser,
  NO_LOGIN_LIMITS,
  PASSWORD,
  PLATFORMS,
  type Platform,
  whileAway,
} from '../support/app.js';
import { eventsHeard, sharedTestApp } from '../support/shared-app.js';

/** Of them a tenth is kept for known places. */
const MOST = 20;
const KEPT = 2;
/** From here the account was logged in to. */
const HOME = '192.0.2.1';
const ELSEWHERE = '203.0.113.7';

/** An application whose only limit on passwords is that of failures in a row, and an account of its own for each test. */
function startedOn(platform: Platform, password?: AuthOptions['password']) {
  const t = sharedTestApp({
    platform,
    auth: {
      rateLimits: NO_LOGIN_LIMITS,
      trustedProxies: ['127.0.0.1'],
      audit: { enabled: true },
      ...(password && { password }),
    },
  });
  const heard = eventsHeard(t);
  let user: AuthUser;
  beforeEach(async () => {
    user = await createUser(t.app);
    heard.length = 0;
  });

  const logIn = (given: string, { from = ELSEWHERE, cookie = '', login = user.email } = {}) =>
    request(t.url)
      .post('/auth/login')
      .set('X-Forwarded-For', from)
      .set('Cookie', cookie)
      .send({ email: login, password: given });
  return {
    get t() {
      return t;
    },
    get user() {
      return user;
    },
    get users() {
      return t.app.get(PostgresUserDirectory);
    },
    logIn,
    fail: async (times: number, options?: Parameters<typeof logIn>[1]) => {
      for (let i = 0; i < times; i++) await logIn('wrong', options).expect(401);
    },
    disabled: () => heard.filter(({ type }) => type === 'password.disabled'),
  };
}

describe.each(PLATFORMS)('failures in a row, by default, on %s', (platform) => {
  const app = startedOn(platform);
  const { logIn, fail, disabled } = app;

  it('H14: 100 wrong passwords in a row, however slowly, disable the password until there is a new one', async () => {
    for (let day = 0; day < 20; day++) {
      await fail(5);
      app.t.clock.advance(days(1));
    }
    for (const from of [ELSEWHERE, HOME]) await logIn(PASSWORD, { from }).expect(401);
    app.t.clock.advance(days(365));
    await logIn(PASSWORD).expect(401);
    await app.users.setPassword(app.user.id, 'a new passphrase');
    await logIn('a new passphrase').expect(200);
  });

  it('H14: of 150 wrong passwords at one moment 100 are compared', async () => {
    const compared: string[] = [];
    const verify = app.users.verifyCredentials.bind(app.users);
    app.users.verifyCredentials = (login, password, ip) => (compared.push(password), verify(login, password, ip));
    try {
      const answers = await Promise.all(Array.from({ length: 150 }, (_, i) => logIn('wrong', { from: `10.0.0.${i}` })));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    } finally {
      app.users.verifyCredentials = verify;
    }
    expect(compared).toHaveLength(150); // the same work for all of them
    expect(compared.filter((password) => password === 'wrong')).toHaveLength(100);
    expect(disabled()).toHaveLength(1);
    await logIn(PASSWORD).expect(401);
  });
});

describe.each(PLATFORMS)(`${MOST} failures in a row, on %s`, (platform) => {
  const app = startedOn(platform, { ...CHEAP_HASHES, maxFailures: MOST });
  const { logIn, fail, disabled } = app;

  it('H14: one less does not, and a success starts the count again', async () => {
    for (let i = 0; i < 2; i++) {
      await fail(MOST - 1);
      await logIn(PASSWORD).expect(200);
    }
    await fail(1);
    await logIn(PASSWORD).expect(200);
    expect(disabled()).toEqual([]);
  });

  it('H14: a tenth of them is kept for the places from which the owner has logged in', async () => {
    const answer = await logIn(PASSWORD, { from: HOME }).expect(200);
    const cookie = answer
      .get('Set-Cookie')!
      .find((one) => one.includes('-device='))!
      .split(';')[0]!;
    await fail(MOST);
    await logIn(PASSWORD).expect(401);
    expect(disabled()).toMatchObject([{ userId: app.user.id, failures: MOST - KEPT, exceptKnownPlaces: true }]);
    await fail(1, { from: HOME });
    await logIn(PASSWORD, { cookie }).expect(200); // a known device, wherever it is
    await fail(MOST - KEPT);
    await logIn(PASSWORD, { from: HOME }).expect(200); // a known address, without a cookie

    await fail(MOST - KEPT);
    await fail(KEPT, { from: HOME });
    for (const place of [{ from: HOME }, { cookie }]) await logIn(PASSWORD, place).expect(401);
    expect(disabled().at(-1)).toMatchObject({ failures: MOST, exceptKnownPlaces: false });
  });

  it('H14: a known, an unknown, a disabled password and a disabled account answer the same', async () => {
    const off = await createUser(app.t.app);
    await app.users.disable(off.id);
    const gone = await createUser(app.t.app);
    await fail(MOST, { login: gone.email });
    const shape = async (login: string, password: string) => {
      const { status, body, headers } = await logIn(password, { login });
      const { date: _, ...rest } = headers;
      return { status, body, rest };
    };
    const known = await shape(app.user.email, 'wrong');
    expect(known).toMatchObject({ status: 401, body: { code: 'INVALID_CREDENTIALS' } });
    for (const [login, password] of [
      ['nobody@example.net', 'wrong'],
      [off.email, PASSWORD],
      [gone.email, 'wrong'],
      [gone.email, PASSWORD],
    ] as const) {
      expect(await shape(login, password)).toEqual(known);
    }
  });

  it('H14: a known, an unknown and a disabled login cost the same statements', async () => {
    const gone = await createUser(app.t.app);
    await fail(MOST, { login: gone.email });
    const costs = [];
    for (const login of [app.user.email, 'nobody@example.net', gone.email]) {
      await logIn('wrong', { login }); // every row is there
      app.t.queries.reset();
      await logIn('wrong', { login });
      // The audit writes when it likes.
      costs.push(app.t.queries.names.filter((name) => name !== 'latchkey_audit_insert'));
    }
    expect(costs[0]).toContain('latchkey_password_attempt_count');
    expect(costs[1]).toEqual(costs[0]);
    expect(costs[2]).toEqual(costs[0]);
  });

  it('H14: unknown logins are never disabled, and leave at most 64 rows', async () => {
    for (let i = 0; i < 200; i++) await logIn('wrong', { login: `nobody${i}@example.org` }).expect(401);
    const rows = await app.t.db.query(
      `SELECT count(*)::int AS rows FROM auth_password_attempts WHERE user_id LIKE '(%'`,
    );
    expect((rows[0] as { rows: number }).rows).toBeLessThanOrEqual(64);
    expect(disabled()).toEqual([]);
  });

  it('H14: other ways in go on, and the event is in the audit, without the password', async () => {
    await fail(MOST);
    const attempt = { login: null, proofs: ['passkey'], verify: () => app.users.findById(app.user.id) };
    expect(await app.t.app.get(LoginService).attempt(attempt)).toMatchObject({ user: { id: app.user.id } });
    await app.t.app.get(AuditLog).flush();
    const rows = await app.t.db.query(
      `SELECT user_id, login, ip, facts FROM auth_audit_events WHERE type = 'password.disabled' AND user_id = '${app.user.id}'`,
    );
    const facts = { failures: MOST, exceptKnownPlaces: false };
    expect(rows).toEqual([{ user_id: app.user.id, login: app.user.email, ip: ELSEWHERE, facts }]);
  });

  it('H14: what could not be judged is not counted', async () => {
    await fail(MOST - 1);
    await whileAway(app.users, async () => {
      for (let i = 0; i < 5; i++) await logIn(PASSWORD).expect(503);
    });
    await logIn(PASSWORD).expect(200);
  });

  it('H14: an operator, or a directory of one’s own after a reset, enables the password', async () => {
    await fail(MOST);
    expect(await app.t.app.get(PasswordLogin).enable(app.user.id)).toBe(true);
    await logIn(PASSWORD).expect(200);
    app.t.clock.advance(hours(1));
  });
});
