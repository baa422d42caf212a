import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EphemeralTokenService, hours, PostgresUserDirectory } from 'nestjs-latchkey';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';

const KINDS = ['known', 'unknown', 'disabled', 'passwordless', 'unverified'] as const;
const REQUESTS = 200;
/** A hash takes many times as long; the timer, a busy machine and one query more or less do not. */
const MOST = 3;

describe.each(PLATFORMS)('on %s', (platform) => {
  let t: TestApp;
  const links = new Map<string, string>();
  const emailOf = (kind: string) => `${kind}@example.com`;

  beforeAll(async () => {
    const unlimited = { limit: 100_000 };
    t = await startTestApp({
      platform,
      auth: {
        password: {},
        baseUrl: 'https://app.example.com',
        mailer: MemoryMailer,
        mail: { pages: { password_reset: '/reset-password', registration: '/confirm', magic_link: '/log-in' } },
        flows: { passwordReset: {}, registration: {}, magicLink: {} },
        rateLimits: {
          policies: {
            password_reset_ip: unlimited,
            password_reset_send: unlimited,
            mail_ip: unlimited,
            register_ip: unlimited,
            email_send: unlimited,
            login_ip: unlimited,
            login_attempt: unlimited,
          },
          backoff: { base: 0 },
        },
      },
    });
    const tokens = t.app.get(EphemeralTokenService);
    const users = t.app.get(PostgresUserDirectory);
    for (const kind of KINDS) {
      if (kind === 'unknown') continue;
      await createUser(t.app, emailOf(kind));
      links.set(kind, await tokens.issue('password_reset', { username: emailOf(kind) }));
    }
    // Each link is one that cannot be used, for its own reason.
    links.set('unknown', 'A'.repeat(43));
    await tokens.consume('password_reset', links.get('known')!);
    await users.disable((await users.findByLogin(emailOf('disabled')))!.id);
    await t.db.query(`UPDATE users SET password_hash = '!' WHERE email = '${emailOf('passwordless')}'`);
    await t.db.query(`UPDATE users SET email_verified_at = NULL WHERE email = '${emailOf('unverified')}'`);
    await t.db.query(`UPDATE auth_ephemeral_tokens SET expires_at = to_timestamp($1) WHERE username = $2`, [
      (t.clock.now() - hours(1)) / 1000,
      emailOf('unverified'),
    ]);
  }, 60_000);
  afterAll(() => t?.close());

  async function timeOf(path: string, body: object, status: number): Promise<number> {
    // What the last answer has left to do is not this one's time.
    (await MemoryMailer.of(t.app)).sent.length = 0;
    const headers = { 'Content-Type': 'application/json' };
    const start = performance.now();
    const answer = await fetch(`${t.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    await answer.text();
    const took = performance.now() - start;
    expect(answer.status).toBe(status);
    return took;
  }

  const quantile = (times: readonly number[], part: number) =>
    times.toSorted((a, b) => a - b)[Math.floor(times.length * part)]!;

  it.each([
    // A hundred failures in, the passwords that there are have been disabled.
    ...['login', 'token'].map(
      (route) =>
        [route, route, 401, (kind: string) => ({ email: emailOf(kind), password: 'not the password' })] as const,
    ),
    ['forgot-password', 'forgot-password', 202, (kind: string) => ({ email: emailOf(kind) })],
    ['register', 'register', 202, (kind: string) => ({ email: emailOf(kind) })],
    ['register with a password', 'register', 202, (kind: string) => ({ email: emailOf(kind), password: PASSWORD })],
    ['magic-link', 'magic-link', 202, (kind: string) => ({ email: emailOf(kind) })],
    ['register/resend', 'register/resend', 202, (kind: string) => ({ email: emailOf(kind) })],
    [
      'reset-password',
      'reset-password',
      400,
      (kind: string) => ({ token: links.get(kind)!, password: 'a new password' }),
    ],
  ] as const)(
    'F14: %s takes as long for every kind of account',
    async (_, route, status, bodyOf) => {
      const times = new Map<string, number[]>(KINDS.map((kind) => [kind, []]));
      // In turn, so that whatever else the machine does hits them all.
      for (let i = 0; i < REQUESTS; i++) {
        for (const kind of KINDS) times.get(kind)!.push(await timeOf(`/auth/${route}`, bodyOf(kind), status));
      }
      const medians = KINDS.map((kind) => quantile(times.get(kind)!, 0.5));
      expect(Math.max(...medians) / Math.min(...medians)).toBeLessThan(MOST);
      // The distributions overlap: the fast half of the slowest kind is not slower than the slow part of the fastest.
      const [slowest, fastest] = [Math.max, Math.min].map((pick) =>
        times.get(KINDS[medians.indexOf(pick(...medians))]!)!,
      );
      expect(quantile(slowest!, 0.1)).toBeLessThan(quantile(fastest!, 0.9));
    },
    120_000,
  );

  it('F14: one that hashes takes longer, so that the bound is one (negative control)', async () => {
    const [fast, slow]: [number[], number[]] = [[], []];
    for (let i = 0; i < 15; i++) {
      fast.push(await timeOf('/auth/forgot-password', { email: emailOf('unknown') }, 202));
      const token = await t.app.get(EphemeralTokenService).issue('password_reset', { username: emailOf('known') });
      slow.push(await timeOf('/auth/reset-password', { token, password: 'a brand new password' }, 200));
      t.clock.advance(1);
    }
    expect(quantile(slow, 0.5) / quantile(fast, 0.5)).toBeGreaterThan(MOST);
  }, 60_000);
});
