import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { AuthError, hours, minutes, PasswordHasher } from 'nestjs-latchkey';
import { LoginService, PasswordResetService } from 'nestjs-latchkey/flows';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { MAIL } from '../support/flows.js';
import { MAGIC_LINK } from '../support/magic-link.js';
import { AnswerChecker, emptyDocument } from '../support/openapi.js';
import { mailTo } from '../support/registration.js';
import { createProxiedDatabase, type ProxiedDatabase } from '../support/tcp-proxy.js';
import { enrol } from '../support/two-factor.js';

let database: ProxiedDatabase;
beforeAll(async () => void (database = await createProxiedDatabase()));
afterAll(() => database?.drop());

const NEXT = 'a better passphrase';
const FORGOT = '/auth/forgot-password';
const RESET = '/auth/reset-password';
const CHANGE = '/auth/change-password';
const FOREIGN = { Origin: 'https://evil.example' };
const ASK = '/auth/magic-link';
const CONFIRM = '/auth/magic-link/confirm';
const RARE = ['authChangePassword 404 SESSION_NOT_FOUND'];

describe.each(PLATFORMS)('the document of %s, password flows', (platform) => {
  let t: TestApp;
  let checker: AnswerChecker;
  beforeAll(async () => {
    t = await startTestApp({
      platform,
      url: database.url,
      auth: {
        ...MAIL,
        flows: { passwordReset: {}, passwordChange: {}, emailChange: {} },
        password: { memoryCost: 8, timeCost: 1, concurrency: 1, queue: 0 },
        rateLimits: { policies: { password_reset_ip: { limit: 24 } } },
      },
    });
    await t.db.query('DELETE FROM auth_rate_limit_events');
    checker = new AnswerChecker(withAuthPaths(emptyDocument('3.1.0'), t.app));
  }, 60_000);
  afterAll(() => t?.close());

  /** Sends it, and fails if the answer is not what the document says. */
  async function send(path: string, body: object | string, headers: Record<string, string> = {}) {
    const asked = request(t.url).post(path).set(headers);
    if (typeof body === 'string') asked.set('Content-Type', 'application/json');
    const answer = await asked.send(body);
    expect(checker.mistakes('post', path, body, answer)).toEqual([]);
    return `${answer.status} ${(answer.body as { code?: string }).code ?? ''}`.trim();
  }

  async function whileHashing(work: () => Promise<unknown>) {
    const hasher = t.app.get(PasswordHasher);
    const over = new AbortController();
    const busy = (async () => {
      while (!over.signal.aborted) await hasher.hash('busy');
    })();
    await work().finally(() => over.abort());
    await busy;
  }

  it('every route and status is answered as it says', async () => {
    const { id, email } = await createUser(t.app, `${platform}@example.com`);
    const link = async () => {
      t.clock.advance(1);
      t.app.get(PasswordResetService).request(email);
      return (await MemoryMailer.of(t.app)).last('password_reset').token;
    };
    const logIn = async () => {
      t.clock.advance(1);
      return { Cookie: await signInAs(t.app, id) };
    };
    const change = { currentPassword: PASSWORD, newPassword: NEXT };

    expect(await send(FORGOT, { email })).toBe('202');
    expect(await send(RESET, { token: 'A'.repeat(43), password: NEXT })).toBe('400 INVALID_LINK');
    expect(await send(CHANGE, change)).toBe('401 UNAUTHENTICATED');
    for (const path of [FORGOT, RESET, CHANGE]) {
      const headers = path === CHANGE ? await logIn() : {};
      expect(await send(path, {}, { ...headers, ...FOREIGN })).toBe('403 CROSS_ORIGIN_REQUEST');
      for (const body of ['{', '[]', {}, { roles: ['admin'] }]) {
        expect(await send(path, body, headers)).toBe('422 INVALID_INPUT');
      }
      expect(await send(path, { email: 'a'.repeat(2_000_000) }, headers)).toBe('413');
    }
    const cookie = await logIn();
    expect(await send(CHANGE, { ...change, currentPassword: 'wrong' }, cookie)).toBe('401 INVALID_CREDENTIALS');
    const token = await link();
    await whileHashing(async () => {
      expect(await send(RESET, { token, password: NEXT })).toBe('503 HASHER_OVERLOADED');
      expect(await send(CHANGE, change, cookie)).toBe('503 HASHER_OVERLOADED');
    });
    expect(await send(RESET, { token, password: 'short' })).toBe('422 WEAK_PASSWORD');
    expect(await send(RESET, { token, password: PASSWORD })).toBe('200');
    expect(await send(CHANGE, change, await logIn())).toBe('200');
    const again = await logIn();
    expect(await send(CHANGE, { ...change, newPassword: 'short' }, again)).toBe('422 WEAK_PASSWORD');
    while ((await send(CHANGE, { ...change, currentPassword: 'wrong' }, again)) !== '429 RATE_LIMITED');

    const { id: newcomer } = await createUser(t.app);
    await t.db.query(`UPDATE users SET password_hash = '!' WHERE id = '${newcomer}'`);
    const old = { Cookie: await signInAs(t.app, newcomer, { authenticatedAt: t.clock.now() - hours(1) }) };
    expect(await send(CHANGE, { newPassword: NEXT }, old)).toBe('401 STEP_UP_REQUIRED');

    // The limits of the other flows show too.
    expect(await send('/auth/change-email', { email: 'new@example.com' }, await logIn())).toBe('202');
    expect(await send('/auth/confirm-email-change', { token: 'A'.repeat(43) })).toBe('400 INVALID_LINK');
    expect(await send('/auth/revert-email-change', { token: 'A'.repeat(43) })).toBe('400 INVALID_LINK');

    const unusable = { token: 'A'.repeat(43), password: NEXT };
    const headers = await logIn();
    const all = async () => [
      await send(FORGOT, { email }),
      await send(RESET, unusable),
      await send(CHANGE, change, headers),
    ];
    const tables = ['users', 'sessions', 'auth_rate_limit_events'];
    for (const table of tables) await t.db.query(`ALTER TABLE ${table} RENAME TO gone_${table}`);
    const withoutTables = await all().catch(String);
    for (const table of tables) await t.db.query(`ALTER TABLE gone_${table} RENAME TO ${table}`);
    expect(withoutTables).toEqual(Array(3).fill('503 SCHEMA_MISSING'));
    database.goAway();
    const withoutDatabase = await all().catch(String);
    database.comeBack();
    expect(withoutDatabase).toEqual(Array(3).fill('503 STORE_UNAVAILABLE'));

    while ((await send(FORGOT, { email })) !== '429 RATE_LIMITED');
    while ((await send(RESET, unusable)) !== '429 RATE_LIMITED');
    const ours = /^auth(?:ForgotPassword|ResetPassword|ChangePassword) /;
    expect(checker.missing().filter((name) => ours.test(name))).toEqual(RARE);
  }, 120_000);
});

describe.each(PLATFORMS)('the document of %s, logins by mailed link', (platform) => {
  it('every route and status is answered as it says', async () => {
    const t = await startTestApp({ platform, url: database.url, auth: { ...MAGIC_LINK, rateLimits: undefined } });
    try {
      await t.db.query('DELETE FROM auth_rate_limit_events');
      const checker = new AnswerChecker(withAuthPaths(emptyDocument('3.1.0'), t.app));
      const send = async (path: string, body: object | string, headers: Record<string, string> = {}) => {
        const answer = await request(t.url)
          .post(path)
          .set({ 'Content-Type': 'application/json', ...headers })
          .send(body);
        expect(checker.mistakes('post', path, body, answer)).toEqual([]);
        return answer;
      };
      const said = async (...sent: Parameters<typeof send>) => {
        const { status, body } = await send(...sent);
        return `${status} ${(body as { code?: string; status?: string }).code ?? body.status ?? ''}`.trim();
      };
      const user = await createUser(t.app, `link-${platform}@example.com`);
      const asked = async () => {
        t.clock.advance(minutes(15));
        const answer = await send(ASK, { email: user.email, returnTo: '/notes' });
        const cookie = answer.get('Set-Cookie')![0]!.split(';')[0]!;
        return { ...(await mailTo(t, user.email, 'magic_link')), headers: { Cookie: cookie } };
      };
      const unusable = { token: 'A'.repeat(43) };
      for (const [path, body] of [
        [ASK, { email: user.email }],
        [CONFIRM, unusable],
      ] as const) {
        expect(await said(path, body, FOREIGN)).toBe('403 CROSS_ORIGIN_REQUEST');
        for (const wrong of ['{', '[]', {}, { ...body, roles: ['admin'] }]) {
          expect(await said(path, wrong)).toBe('422 INVALID_INPUT');
        }
        expect(await said(path, { email: 'a'.repeat(2_000_000) })).toBe('413');
      }
      expect(await said(CONFIRM, unusable)).toBe('400 INVALID_LINK');
      const first = await asked();
      expect(await said(CONFIRM, { code: first.code }, first.headers)).toBe('200 authenticated');
      await enrol(t, user);
      const second = await asked();
      expect(await said(CONFIRM, { token: second.token }, second.headers)).toBe('200 second_factor');
      const third = await asked();
      // A change between the steps that nobody could make in time.
      jest.spyOn(t.app.get(LoginService), 'begin').mockRejectedValueOnce(new AuthError('INVALID_CREDENTIALS', 'x', {}));
      expect(await said(CONFIRM, { token: third.token }, third.headers)).toBe('401 INVALID_CREDENTIALS');
      while ((await said(CONFIRM, { code: 'BBBB-BBBB' }, third.headers)) !== '429 RATE_LIMITED');
      while ((await said(ASK, { email: 'nobody@example.com' })) !== '429 RATE_LIMITED');
      t.clock.advance(minutes(15));
      for (const table of ['auth_ephemeral_tokens', 'auth_rate_limit_events']) {
        await t.db.query(`ALTER TABLE ${table} RENAME TO gone_${table}`);
      }
      const missing = [await said(ASK, { email: user.email }), await said(CONFIRM, unusable)];
      for (const table of ['auth_ephemeral_tokens', 'auth_rate_limit_events']) {
        await t.db.query(`ALTER TABLE gone_${table} RENAME TO ${table}`);
      }
      expect(missing).toEqual(Array(2).fill('503 SCHEMA_MISSING'));
      database.goAway();
      const away = [await said(ASK, { email: user.email }), await said(CONFIRM, unusable)];
      database.comeBack();
      expect(away).toEqual(Array(2).fill('503 STORE_UNAVAILABLE'));
      expect(checker.missing().filter((name) => name.startsWith('authMagicLink'))).toEqual([]);
    } finally {
      await t.close();
    }
  }, 60_000);
});
