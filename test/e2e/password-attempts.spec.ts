import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { days, hours, AuthEvents, PostgresUserDirectory, type AuthEvent, type AuthUser } from 'nestjs-latchkey';
import { AuditLog, LoginService, PasswordLogin } from 'nestjs-latchkey/engine';
import request from 'supertest';
import {
  createUser,
  NO_LOGIN_LIMITS,
  PASSWORD,
  PLATFORMS,
  startTestApp,
  type TestApp,
  whileAway,
} from '../support/app.js';

/** From here the account was logged in to. */
const HOME = '192.0.2.1';
const ELSEWHERE = '203.0.113.7';

describe.each(PLATFORMS)('failures in a row, on %s', (platform) => {
  let t: TestApp;
  let user: AuthUser;
  let users: PostgresUserDirectory;
  const heard: AuthEvent[] = [];
  beforeAll(async () => {
    t = await startTestApp({
      platform,
      auth: { rateLimits: NO_LOGIN_LIMITS, trustedProxies: ['127.0.0.1'], audit: { enabled: true } },
    });
    users = t.app.get(PostgresUserDirectory);
    t.app.get(AuthEvents).on((event) => void heard.push(event));
  });
  afterAll(() => t?.close());
  beforeEach(async () => {
    user = await createUser(t.app);
    heard.length = 0;
  });

  const logIn = (password: string, { from = ELSEWHERE, cookie = '', login = user.email } = {}) =>
    request(t.url)
      .post('/auth/login')
      .set('X-Forwarded-For', from)
      .set('Cookie', cookie)
      .send({ email: login, password });
  const fail = async (times: number, options?: Parameters<typeof logIn>[1]) => {
    for (let i = 0; i < times; i++) await logIn('wrong', options).expect(401);
  };
  const disabled = () => heard.filter(({ type }) => type === 'password.disabled');

  it('H14: 100 wrong passwords in a row, however slowly, disable the password until there is a new one', async () => {
    for (let day = 0; day < 20; day++) {
      await fail(5);
      t.clock.advance(days(1));
    }
    for (const from of [ELSEWHERE, HOME]) await logIn(PASSWORD, { from }).expect(401);
    t.clock.advance(days(365));
    await logIn(PASSWORD).expect(401);
    await users.setPassword(user.id, 'a new passphrase');
    await logIn('a new passphrase').expect(200);
  });

  it('H14: 99 do not, and a success starts the count again', async () => {
    for (let i = 0; i < 2; i++) {
      await fail(99);
      await logIn(PASSWORD).expect(200);
    }
    await fail(1);
    await logIn(PASSWORD).expect(200);
    expect(disabled()).toEqual([]);
  });

  it('H14: of 150 wrong passwords at one moment 100 are compared', async () => {
    const compared: string[] = [];
    const verify = users.verifyCredentials.bind(users);
    users.verifyCredentials = (login, password, ip) => (compared.push(password), verify(login, password, ip));
    try {
      const answers = await Promise.all(Array.from({ length: 150 }, (_, i) => logIn('wrong', { from: `10.0.0.${i}` })));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    } finally {
      users.verifyCredentials = verify;
    }
    expect(compared).toHaveLength(150); // the same work for all of them
    expect(compared.filter((password) => password === 'wrong')).toHaveLength(100);
    expect(disabled()).toHaveLength(1);
    await logIn(PASSWORD).expect(401);
  });

  it('H14: ten of them are kept for the places from which the owner has logged in', async () => {
    const answer = await logIn(PASSWORD, { from: HOME }).expect(200);
    const cookie = answer
      .get('Set-Cookie')!
      .find((one) => one.includes('-device='))!
      .split(';')[0]!;
    await fail(100);
    await logIn(PASSWORD).expect(401);
    expect(disabled()).toMatchObject([{ userId: user.id, failures: 90, exceptKnownPlaces: true }]);
    await fail(5, { from: HOME });
    await fail(4, { cookie });
    await logIn(PASSWORD, { cookie }).expect(200); // a known device, wherever it is
    await fail(90);
    await logIn(PASSWORD, { from: HOME }).expect(200); // a known address, without a cookie

    await fail(90);
    await fail(10, { from: HOME });
    for (const place of [{ from: HOME }, { cookie }]) await logIn(PASSWORD, place).expect(401);
    expect(disabled().at(-1)).toMatchObject({ failures: 100, exceptKnownPlaces: false });
  });

  it('H14: a known, an unknown, a disabled password and a disabled account answer the same', async () => {
    const off = await createUser(t.app);
    await users.disable(off.id);
    const gone = await createUser(t.app);
    await fail(100, { login: gone.email });
    const shape = async (login: string, password: string) => {
      const { status, body, headers } = await logIn(password, { login });
      const { date: _, ...rest } = headers;
      return { status, body, rest };
    };
    const known = await shape(user.email, 'wrong');
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
    const gone = await createUser(t.app);
    await fail(100, { login: gone.email });
    const costs = [];
    for (const login of [user.email, 'nobody@example.net', gone.email]) {
      await logIn('wrong', { login }); // every row is there
      t.queries.reset();
      await logIn('wrong', { login });
      // The audit writes when it likes.
      costs.push(t.queries.names.filter((name) => name !== 'latchkey_audit_insert'));
    }
    expect(costs[0]).toContain('latchkey_password_attempt_count');
    expect(costs[1]).toEqual(costs[0]);
    expect(costs[2]).toEqual(costs[0]);
  });

  it('H14: unknown logins are never disabled, and leave at most 64 rows', async () => {
    for (let i = 0; i < 200; i++) await logIn('wrong', { login: `nobody${i}@example.org` }).expect(401);
    const rows = await t.db.query(`SELECT count(*)::int AS rows FROM auth_password_attempts WHERE user_id LIKE '(%'`);
    expect((rows[0] as { rows: number }).rows).toBeLessThanOrEqual(64);
    expect(disabled()).toEqual([]);
  });

  it('H14: other ways in go on, and the event is in the audit, without the password', async () => {
    await fail(100);
    const attempt = { login: null, proofs: ['passkey'], verify: () => users.findById(user.id) };
    expect((await t.app.get(LoginService).attempt(attempt)).user.id).toBe(user.id);
    await t.app.get(AuditLog).flush();
    const rows = await t.db.query(
      `SELECT user_id, login, ip, facts FROM auth_audit_events WHERE type = 'password.disabled' AND user_id = '${user.id}'`,
    );
    const facts = { failures: 100, exceptKnownPlaces: false };
    expect(rows).toEqual([{ user_id: user.id, login: user.email, ip: ELSEWHERE, facts }]);
  });

  it('H14: what could not be judged is not counted', async () => {
    await fail(99);
    await whileAway(users, async () => {
      for (let i = 0; i < 5; i++) await logIn(PASSWORD).expect(503);
    });
    await logIn(PASSWORD).expect(200);
  });

  it('H14: an operator, or a directory of one’s own after a reset, enables the password', async () => {
    await fail(100);
    expect(await t.app.get(PasswordLogin).enable(user.id)).toBe(true);
    await logIn(PASSWORD).expect(200);
    t.clock.advance(hours(1));
  });
});
