import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  AuthTransaction,
  EphemeralTokenService,
  PostgresUserDirectory,
  SessionService,
  type AuthUser,
} from 'nestjs-latchkey';
import { IdentityStore } from 'nestjs-latchkey/engine';
import { EmailChangeService, MagicLinkService, OidcService, PasswordResetService } from 'nestjs-latchkey/flows';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { challengeOfVerifier } from '../../src/oidc/oidc-requests.js';
import { createUser, NO_LOGIN_LIMITS } from '../support/app.js';
import { MAIL } from '../support/flows.js';
import { enrol } from '../support/two-factor.js';
import { sharedTestApp } from '../support/shared-app.js';
import { until } from '../support/heard.js';
import { identityOf, OIDC } from '../support/identities.js';
import { mailTo } from '../support/registration.js';

const WAITING = `SELECT l.locktype FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE a.datname = current_database() AND NOT l.granted`;

describe('a transaction that changes an account and then ends its sessions', () => {
  const t = sharedTestApp();
  let users: PostgresUserDirectory;
  let sessions: SessionService;
  beforeAll(() => {
    users = t.app.get(PostgresUserDirectory);
    sessions = t.app.get(SessionService);
  });

  const CHANGES: [string, (user: AuthUser) => Promise<unknown>][] = [
    ['confirmLogin', (user) => users.confirmLogin(user, t.clock.now())],
    [
      'setEmail',
      (user) => users.setEmail(user.id, { from: user.email, to: `new-${user.email}`, verifiedAt: t.clock.now() }),
    ],
    ['verifyEmail', ({ id, email }) => users.verifyEmail(id, { email, verifiedAt: t.clock.now() })],
    ['setRoles', ({ id }) => users.setRoles(id, ['admin'])],
    ['enable', ({ id }) => users.enable(id)],
    ['delete', ({ id }) => users.delete(id)],
  ];

  it.each(CHANGES)('F22: %s: a step-up at the same time waits, which is no deadlock', async (name, change) => {
    const user = await createUser(t.app, `${name.toLowerCase()}@example.com`);
    const { session } = await sessions.create(user.id);
    // Not in the transaction, from which it is told to begin.
    let begin!: () => void;
    const proved = { user, authenticatedAt: t.clock.now(), aal: 2, amr: ['password', 'totp'] } as const;
    const elevation = new Promise<void>((resolve) => (begin = resolve)).then(() => sessions.elevate(session, proved));
    await t.db.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [user.id]);
    let calls = 0;
    let waiting: unknown[] = [];
    await t.app.get(AuthTransaction).run(async () => {
      // After a deadlock it is called again.
      calls++;
      await change(user);
      begin();
      if (calls === 1) await until(async () => (waiting = await t.db.query(WAITING)).length > 0);
      await sessions.revokeAllForUser(user.id);
    });
    // For the lock that comes first, with none of the account in its hands.
    expect(waiting).toEqual([{ locktype: 'advisory' }]);
    expect(calls).toBe(1);
    expect(await elevation).toBeNull();
    expect(await sessions.listForUser(user.id)).toEqual([]);
  });
});

describe('a login whose account ends its tokens and identities at the same moment', () => {
  const t = sharedTestApp({ auth: { ...OIDC, flows: { ...OIDC.flows, magicLink: {} } } });
  const TOKENS = 'SELECT FROM auth_ephemeral_tokens WHERE username = $1';
  const IDENTITIES = 'SELECT FROM auth_identities WHERE user_id = $1';
  const VERIFIER = 'v'.repeat(43);

  const exchange = async (user: AuthUser) => {
    const token = await t.app.get(EphemeralTokenService).issue('oidc_exchange', {
      username: user.email,
      challengeId: challengeOfVerifier(VERIFIER),
      firstFactor: { authenticatedAt: t.clock.now(), tokensInvalidatedAfter: null },
      proved: { userId: user.id, proofs: ['oidc'], transport: 'cookie' },
    });
    return () => t.app.get(OidcService).exchange(token, { verifier: VERIFIER });
  };
  const byIdentity = async (user: AuthUser) => {
    const stored = identityOf(user);
    await t.app.get(IdentityStore).add(stored);
    const { issuer, subject } = stored;
    const [provider] = OIDC.flows.oidc.providers;
    const request = { provider: 'idp', issuer, intent: 'login', redirectUri: '', startedAt: t.clock.now() } as const;
    const identity = { provider: 'idp', issuer, subject, email: null, emailVerified: false, aal: 1 } as const;
    return () => t.app.get(OidcService).logIn({ provider: provider!, identity, request });
  };
  const magicLink = async (user: AuthUser) => {
    const links = t.app.get(MagicLinkService);
    const { browser } = links.request(user.email);
    const { token } = await mailTo(t, user.email, 'magic_link');
    return () => links.confirm({ token }, { browsers: [browser] });
  };

  it.each([
    ['the exchange of a login at a provider', exchange],
    ['a login by an identity', byIdentity],
    ['a mailed link', magicLink],
  ])('F22: %s waits for it, which is no deadlock', async (name, prepare) => {
    const user = await createUser(t.app, `${name.replaceAll(' ', '-')}@example.com`);
    const logIn = await prepare(user);
    let begin!: () => void;
    const login = new Promise<void>((resolve) => (begin = resolve)).then(logIn).then(
      () => 'in',
      (error: { code: string }) => error.code,
    );
    let calls = 0;
    let waiting: unknown[] = [];
    let held = 0;
    await t.app.get(AuthTransaction).run(async () => {
      // After a deadlock it is called again.
      calls++;
      await t.app.get(PostgresUserDirectory).confirmLogin(user, t.clock.now());
      begin();
      if (calls === 1) await until(async () => (waiting = await t.db.query(WAITING)).length > 0);
      for (const [rows, of] of [
        [TOKENS, user.email],
        [IDENTITIES, user.id],
      ] as const) {
        const all: unknown[] = await t.db.query(rows, [of]);
        const free: unknown[] = await t.db.query(`${rows} FOR UPDATE SKIP LOCKED`, [of]);
        held += all.length - free.length;
      }
      await t.app.get(EphemeralTokenService).revokeAllForLogin(user.email);
      await t.app.get(IdentityStore).removeSince(user, { since: 0, foreignSince: 0 });
      await t.app.get(SessionService).revokeAllForUser(user.id);
    });
    expect(waiting).toEqual([{ locktype: 'advisory' }]);
    // With none of what is ended in its hands.
    expect([calls, held]).toEqual([1, 0]);
    // What it had has ended by then.
    expect(await login).not.toBe('in');
    expect(await t.app.get(SessionService).listForUser(user.id)).toEqual([]);
  });
});

/** With what the one that waits has written or locked before. */
const WAITING_WITH = `SELECT l.locktype, (SELECT count(*)::integer FROM pg_locks h WHERE h.pid = l.pid AND h.granted
    AND h.locktype <> 'virtualxid' AND h.mode LIKE '%Exclusive%') AS holds
  FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.datname = current_database() AND NOT l.granted`;

describe('what spends a token or a code while its account ends all of them', () => {
  const twoFactor = { totp: {}, backupCodes: { count: 4 } };
  const flows = { passwordReset: {}, emailChange: {}, stepUp: {}, twoFactor, apiKeys: { scopes: ['notes:read'] } };
  const t = sharedTestApp({ auth: { ...MAIL, flows, rateLimits: NO_LOGIN_LIMITS } });
  const as = (cookie: string, path: string, body: object) => () =>
    request(t.url)
      .post(`/auth/${path}`)
      .set('Cookie', cookie)
      .send(body)
      .then(({ status }) => status);

  const reset = async ({ email }: AuthUser) => {
    t.app.get(PasswordResetService).request(email);
    const { token } = (await MemoryMailer.of(t.app)).last('password_reset');
    return as('', 'reset-password', { token, password: 'a brand new passphrase' });
  };
  const confirmation = async ({ id, email }: AuthUser) => {
    t.app.get(EmailChangeService).request({ id }, `new-${email}`);
    const { token } = (await MemoryMailer.of(t.app)).last('email_change');
    return as('', 'confirm-email-change', { token });
  };
  const backupCode = async (user: AuthUser) => {
    const { backupCodes, cookie } = await enrol(t, user);
    return as(cookie, 'step-up', { method: 'backup-code', code: backupCodes[0] });
  };
  const apiKey = async ({ id }: AuthUser) =>
    as(await signInAs(t.app, id), 'api-keys', { name: 'Backup', scopes: ['notes:read'], expiresIn: 3_600 });

  it.each([
    ['a reset of the password', reset],
    ['a confirmed address', confirmation],
    ['a backup code', backupCode],
    ['a new API key', apiKey],
  ])('F22: %s waits for it, which is no deadlock', async (_, prepare) => {
    const user = await createUser(t.app);
    const act = await prepare(user);
    const now = (await t.app.get(PostgresUserDirectory).findById(user.id))!;
    let begin!: () => void;
    const acted = new Promise<void>((resolve) => (begin = resolve)).then(act);
    let calls = 0;
    let waiting: unknown[] = [];
    await t.app.get(AuthTransaction).run(async () => {
      // After a deadlock it is called again.
      calls++;
      await t.app.get(PostgresUserDirectory).confirmLogin(now, t.clock.now());
      begin();
      if (calls === 1) await until(async () => (waiting = await t.db.query(WAITING_WITH)).length > 0);
      await t.app.get(PostgresUserDirectory).invalidateTokens(user.id, t.clock.now() + 1);
    });
    expect(waiting).toEqual([{ locktype: 'advisory', holds: 0 }]);
    expect(calls).toBe(1);
    expect(await acted).toBeGreaterThanOrEqual(400);
    expect(await t.app.get(SessionService).listForUser(user.id)).toEqual([]);
  });
});
