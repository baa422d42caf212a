import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hours, PasswordHasher } from 'nestjs-latchkey';
import { PasswordResetService } from 'nestjs-latchkey/engine';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { MAIL } from '../support/flows.js';
import { AnswerChecker, emptyDocument } from '../support/openapi.js';
import { createProxiedDatabase, type ProxiedDatabase } from '../support/tcp-proxy.js';

let database: ProxiedDatabase;
beforeAll(async () => void (database = await createProxiedDatabase()));
afterAll(() => database?.drop());

const NEXT = 'a better passphrase';
const FORGOT = '/auth/forgot-password';
const RESET = '/auth/reset-password';
const CHANGE = '/auth/change-password';
const FOREIGN = { Origin: 'https://evil.example' };
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
      t.app.get(PasswordResetService).ask(email);
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
