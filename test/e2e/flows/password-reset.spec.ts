import { Logger } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { afterAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  AuthEvents,
  EphemeralTokenService,
  hours,
  JwtCodecService,
  minutes,
  PasswordHasher,
  PostgresUserDirectory,
  seconds,
  SessionService,
  TokenRevocationService,
  type AuthUser,
  type Mail,
} from 'nestjs-latchkey';
import { AuditLog } from 'nestjs-latchkey/engine';
import { LoginService, PasswordResetService } from 'nestjs-latchkey/flows';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import {
  createUser,
  NO_LOGIN_LIMITS,
  PASSWORD,
  PLATFORMS,
  startTestApp,
  type Platform,
  type TestApp,
  type TestAppOptions,
} from '../../support/app.js';
import { BASE_URL, FailingMailer } from '../../support/flows.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { cookieOf } from '../../support/cookies.js';
import { startRacers } from '../../support/racers.js';
import { storedText } from '../../support/stored.js';
import { redisUrls } from '../../support/variant.js';

const FLOWS = {
  baseUrl: BASE_URL,
  mailer: FailingMailer,
  mail: { pages: { password_reset: '/reset-password' }, timeout: seconds(0.5) },
  flows: { passwordReset: {} },
};
const NEW_PASSWORD = 'a brand new password';
const DONE = { message: expect.any(String) };

/** Whether tokens are rows, which a trigger can guard. */
const IN_POSTGRES = redisUrls() === null;

let accounts = 0;

describe.each(PLATFORMS)('password reset on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    auth: {
      rateLimits: undefined,
      trustedProxies: ['127.0.0.1'],
      jwt: { sessions: true },
      audit: { enabled: true },
      ...FLOWS,
    },
  });
  const heard = eventsHeard(t);
  const mailer = () => t.app.get(FailingMailer);
  const users = () => t.app.get(PostgresUserDirectory);
  const tokens = () => t.app.get(EphemeralTokenService);
  let ada: AuthUser;
  let from: string;

  beforeEach(async () => {
    t.clock.advance(minutes(20));
    from = `203.0.113.${++accounts}`;
    ada = await createUser(t.app, `ada${accounts}@example.com`);
    await t.app.get(EphemeralTokenService).revokeAllForLogin(ada.email);
    mailer().sent.length = 0;
    mailer().instead = undefined;
    heard.length = 0;
  });

  const post = (path: string, body: object, address = from) =>
    request(t.url).post(path).set('X-Forwarded-For', address).send(body);
  const login = (password: string, email = ada.email) => post('/auth/login', { email, password });
  const forgot = (email: unknown = ada.email, address = from) =>
    post('/auth/forgot-password', { email: email as string }, address);
  const reset = (token: unknown, password = NEW_PASSWORD, address = from) =>
    post('/auth/reset-password', { token: token as string, password }, address);
  /** The mail goes out after the answer. */
  const sent = () => MemoryMailer.of(t.app);
  const mailTo = async (address: string) => (await sent()).to(address);
  const askForLink = async (email = ada.email) => {
    await forgot(email).expect(202);
    return (await sent()).last('password_reset').token;
  };
  const kinds = async (address = ada.email) => (await mailTo(address)).map(({ kind }) => kind);
  const session = (headers: object) =>
    request(t.url)
      .get('/auth/session')
      .set(headers as Record<string, string>);
  const set = (column: string, value: string, id = ada.id) =>
    t.db.query(`UPDATE users SET ${column} = ${value} WHERE id = '${id}'`);

  it('forgot-password 202 and one mail, reset-password 200, the old password 401, the new one 200', async () => {
    const token = await askForLink();
    expect(mailer().sent).toHaveLength(1);
    expect((await reset(token).expect(200)).body).toEqual(DONE);
    await login(PASSWORD).expect(401);
    t.clock.advance(minutes(1));
    await login(NEW_PASSWORD).expect(200);
  });

  it('the token is in the fragment of the link, and not in the database', async () => {
    const token = await askForLink();
    expect(mailer().sent[0]!.text).toContain(`${BASE_URL}/reset-password#${token}`);
    const stored = await storedText(t.db, 'auth_ephemeral_tokens');
    expect(stored).toContain(ada.email);
    expect(stored).not.toContain(token);
  });

  it('any spelling of the address asks for the mail of the account', async () => {
    await forgot(` ${ada.email.toUpperCase()} `).expect(202);
    expect(await kinds()).toEqual(['password_reset']);
  });

  it('expired at the exact instant', async () => {
    const token = await askForLink();
    t.clock.advance(hours(1) - 0.001);
    expect(await tokens().peek('password_reset', token)).not.toBeNull();
    t.clock.advance(0.001);
    await reset(token).expect(400);
  });

  it.each([
    ['a session token', 'A'.repeat(43), 400],
    ['an empty one', '', 400],
    ['200 characters', 'A'.repeat(200), 400],
    ['a megabyte', 'A'.repeat(90_000), 422],
    ['nothing', undefined, 422],
    ['a list', ['x'], 422],
  ])('a token that is refused: %s', async (_, token, status) => {
    const { body } = await reset(token).expect(status);
    expect(body).toMatchObject(status === 400 ? { code: 'INVALID_LINK' } : { code: 'INVALID_INPUT', fields: {} });
  });

  it.each(['', 'short', 'x'.repeat(1025)])('a password of the wrong length spends nothing: %j', async (password) => {
    const token = await askForLink();
    const { body } = await reset(token, password).expect(422);
    expect(Object.keys(body.fields as object)).toEqual(['password']);
    await reset(token).expect(200);
  });

  it('GET and HEAD are no routes', async () => {
    const token = await askForLink();
    for (const path of ['/auth/forgot-password', '/auth/reset-password']) {
      for (const method of ['get', 'head'] as const) {
        await request(t.url)[method](`${path}?token=${token}&email=${ada.email}`).expect(404);
      }
    }
    await reset(token).expect(200);
  });

  describe('F14: what kind of account there is does not show', () => {
    const OTHERS = ['unknown', 'disabled', 'passwordless', 'unverified'] as const;
    const named = (kind: string) => `${kind}${accounts}@example.com`;
    /** What a client sees, but for the time of day and of the limits, which are the address's own. */
    const seen = ({ status, text, headers }: Response) => {
      const { date: _date, ...others } = headers as Record<string, string>;
      return { status, text, headers: others };
    };
    beforeEach(async () => {
      await set('email_verified_at', 'now()');
      const [off, without] = [
        await createUser(t.app, named('disabled')),
        await createUser(t.app, named('passwordless')),
      ];
      await createUser(t.app, named('unverified'));
      await users().disable(off.id);
      await set('password_hash', `'!'`, without.id);
    });

    it('F14: forgot-password: the same status, bytes and headers for each, and the mail that belongs to it', async () => {
      const known = seen(await forgot());
      expect(known.status).toBe(202);
      for (const [i, kind] of OTHERS.entries()) expect(seen(await forgot(named(kind), `192.0.2.${i}`))).toEqual(known);
      expect(await kinds()).toEqual(['password_reset']);
      expect(await kinds(named('unknown'))).toEqual([]);
      expect(await kinds(named('disabled'))).toEqual([]);
      expect(await kinds(named('passwordless'))).toEqual(['no_password']);
      expect(await kinds(named('unverified'))).toEqual(['password_reset']);
    });

    it('F14: reset-password: the same status, bytes and headers for whatever link cannot be used', async () => {
      const issue = (username: string, ttl = hours(1)) => tokens().issue('password_reset', { username }, { ttl });
      t.clock.advance(minutes(1));
      const spent = await issue(ada.email);
      await tokens().consume('password_reset', spent);
      await users().enable((await users().findByLogin(named('disabled')))!.id);
      const links = {
        unknown: 'A'.repeat(43),
        disabled: await issue(named('disabled')),
        passwordless: await issue(named('passwordless')),
        unverified: await issue(named('unverified'), 1),
      };
      await users().disable((await users().findByLogin(named('disabled')))!.id);
      t.clock.advance(1);
      const known = seen(await reset(spent));
      expect(known).toMatchObject({ status: 400, text: expect.stringContaining('INVALID_LINK') });
      for (const [i, kind] of OTHERS.entries()) {
        expect(seen(await reset(links[kind], NEW_PASSWORD, `192.0.2.${i}`))).toEqual(known);
      }
    });
  });

  it.each<[string, () => Promise<void>]>([
    ['hangs', () => new Promise(() => {})],
    ['rejects', () => Promise.reject(new Error('the provider is away'))],
    [
      'throws at once',
      () => {
        throw new Error('the provider is away');
      },
    ],
  ])('F15: a mailer that %s: the same answer, no token is left, a new request works at once', async (_, instead) => {
    const { text } = await forgot().expect(202);
    await sent();
    t.clock.advance(minutes(20));
    mailer().instead = instead;
    for (let i = 0; i < 3; i++) {
      const answer = await forgot(ada.email, `198.51.100.${i}`).expect(202);
      expect(answer.text).toBe(text);
    }
    await sent();
    expect(await storedText(t.db, 'auth_ephemeral_tokens')).not.toContain(ada.email);
    mailer().instead = undefined;
    mailer().sent.length = 0;
    for (let i = 0; i < 4; i++) {
      await forgot(ada.email, `198.51.100.${i}`).expect(202);
      await sent(); // mails are sent side by side, and only the newest link works
    }
    expect(await mailTo(ada.email)).toHaveLength(3);
    await reset(mailer().last('password_reset').token).expect(200);
  });

  it('F15: a link that cannot be stored costs no quota', async () => {
    const issue = jest.spyOn(tokens(), 'issue').mockRejectedValue(new Error('away'));
    for (let i = 0; i < 4; i++) {
      await forgot(ada.email, `198.51.100.${i}`).expect(202);
      await sent();
    }
    expect(issue).toHaveBeenCalledTimes(4);
    issue.mockRestore();
    await askForLink();
  });

  it('F15: the answer waits neither for the account nor for the mail', async () => {
    let answered!: (user: null) => void;
    const account = new Promise<null>((resolve) => (answered = resolve));
    const find = jest.spyOn(users(), 'findByLogin').mockImplementation(() => account);
    await forgot().expect(202);
    answered(null); // only now: an answer that waited for it would never have come
    await sent();
    expect(find).toHaveBeenCalledTimes(1);
    find.mockRestore();
  });

  it('F16: three mails an account in any spelling, and the answer does not change', async () => {
    const { text } = await forgot().expect(202);
    for (let i = 0; i < 4; i++) {
      const spelling = i % 2 ? ada.email : ada.email.toUpperCase();
      expect((await forgot(spelling, `198.51.100.${i}`).expect(202)).text).toBe(text);
    }
    expect(await mailTo(ada.email)).toHaveLength(3);
  });

  it('F16: 11 requests with 11 addresses from one IP: the first 10 are not 429, the 11th is', async () => {
    for (let i = 0; i < 10; i++) {
      const answer = await forgot(`someone${i}@example.com`).expect(202);
      expect(answer.headers['ratelimit-policy']).toBe('"password_reset_ip";q=10;w=900, "mail_ip";q=20;w=900');
    }
    const refused = await forgot('eleventh@example.com').expect(429);
    expect(refused.headers['retry-after']).toBe('900');
    expect(refused.headers['ratelimit']).toContain('"password_reset_ip";r=0;t=900');
    await reset('A'.repeat(43)).expect(429);
  });

  it('F16: a page of another site asks for no mail and sets no password', async () => {
    const token = await askForLink();
    mailer().sent.length = 0;
    for (const asked of [forgot(), reset(token)]) {
      const { body } = await asked
        .set('Sec-Fetch-Site', 'cross-site')
        .set('Origin', 'https://evil.example')
        .expect(403);
      expect(body).toMatchObject({ code: 'CROSS_ORIGIN_REQUEST' });
    }
    await sent();
    expect(mailer().sent).toEqual([]);
    await reset(token).expect(200);
  });

  it.each([
    ['a comma', 'one%d@example.com,two@evil.example'],
    ['a semicolon', 'one%d@example.com;two@evil.example'],
    ['a display name', '"one%d@example.com" <two@evil.example>'],
  ])('F17: to the account of another program whose address has %s nothing is written', async (_, address) => {
    const email = address.replace('%d', String(accounts));
    await t.db.query('UPDATE users SET email = $1 WHERE id = $2', [email, ada.id]);
    await forgot(email).expect(202);
    await sent();
    expect(mailer().sent).toEqual([]);
    expect(await storedText(t.db, 'auth_ephemeral_tokens')).not.toContain('evil.example');
  });

  it.each([
    ['Host', { Host: 'evil.example' }],
    ['X-Forwarded-Host', { 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'http' }],
    ['Forwarded', { Forwarded: 'host=evil.example;proto=http' }],
    ['X-Original-Host', { 'X-Original-Host': 'evil.example', 'X-Host': 'evil.example' }],
  ])('F18: a forged %s does not change the link', async (_, headers) => {
    await forgot()
      .set(headers as Record<string, string>)
      .expect(202);
    const [mail] = await mailTo(ada.email);
    expect(mail).toMatchObject({ link: expect.stringMatching(/^https:\/\/app\.example\.com\/reset-password#/) });
    expect(JSON.stringify(mail)).not.toContain('evil');
  });

  it('F19: scanners that open the link spend nothing, and the token reaches no access log', async () => {
    const accessLog: string[] = [];
    t.app
      .getHttpServer()
      .on('request', ({ method, url, rawHeaders }: IncomingMessage) =>
        accessLog.push([method, url, ...rawHeaders].join(' ')),
      );
    const token = await askForLink();
    const links = (await mailTo(ada.email)).flatMap(({ text }) => text.match(/https:\S+/g) ?? []);
    expect(links).toHaveLength(1);
    const opened = links[0]!.replace(BASE_URL, t.url);
    await fetch(opened, { method: 'HEAD' });
    for (let i = 0; i < 10; i++) await fetch(opened);
    await reset(token).expect(200);
    expect(accessLog.filter((line) => line.includes(' /reset-password '))).toHaveLength(11);
    expect(accessLog.filter((line) => line.includes(token))).toEqual([]);
    // Negative control: a token in the query would be seen.
    await fetch(opened.replace('#', '?token='));
    expect(accessLog.filter((line) => line.includes(token))).toHaveLength(1);
  });

  it.each(['roles', 'id', 'emailVerifiedAt', 'disabledAt', 'userId'])('F21: a field %s is refused', async (field) => {
    const token = await askForLink();
    const row = () => t.db.query(`SELECT * FROM users WHERE id = '${ada.id}'`);
    const before = await row();
    mailer().sent.length = 0;
    const value = field === 'roles' ? ['admin'] : ada.id;
    for (const [path, body] of [
      ['/auth/forgot-password', { email: ada.email }],
      ['/auth/reset-password', { token, password: NEW_PASSWORD }],
    ] as const) {
      const { body: answer } = await post(path, { ...body, [field]: value }).expect(422);
      expect(answer).toMatchObject({ code: 'INVALID_INPUT', fields: { [field]: 'is not a field here' } });
    }
    await sent();
    expect(mailer().sent).toEqual([]);
    expect(await row()).toEqual(before);
    await reset(token).expect(200);
  });

  it.each([
    [
      'disabled and enabled again',
      () =>
        users()
          .disable(ada.id)
          .then(() => users().enable(ada.id)),
    ],
    ['disabled', () => users().disable(ada.id)],
    ['given another password', () => users().setPassword(ada.id, 'set by somebody else')],
    ['given another address', () => set('email', `'moved${accounts}@example.com'`)],
    ['signed out everywhere', () => t.app.get(TokenRevocationService).revokeAllForUser(ada.id)],
    ['deleted', () => users().delete(ada.id)],
  ])('F25: an account that is %s while the password is hashed: 400, and nothing is written', async (_, change) => {
    const token = await askForLink();
    const hash = async () => (await t.db.query(`SELECT password_hash FROM users WHERE id = '${ada.id}'`))[0];
    const hasher = t.app.get(PasswordHasher);
    const hashing = hasher.hash.bind(hasher);
    let changed: unknown;
    const meanwhile = jest.spyOn(hasher, 'hash').mockImplementationOnce(async (...args) => {
      meanwhile.mockRestore();
      await change();
      changed = await hash();
      return hashing(...args);
    });
    const { body } = await reset(token).expect(400);
    expect(body).toMatchObject({ code: 'INVALID_LINK' });
    expect(await hash()).toEqual(changed);
  });

  it('F26: the owner is told once, at the address of the account, without a secret', async () => {
    const token = await askForLink();
    mailer().sent.length = 0;
    await reset(token).expect(200);
    const [notice, ...others] = await mailTo(ada.email);
    expect(others).toEqual([]);
    expect(notice).toMatchObject({ kind: 'password_changed', userId: ada.id });
    for (const secret of [token, NEW_PASSWORD, 'http']) expect(JSON.stringify(notice)).not.toContain(secret);
    // A reset that changes nothing tells nobody.
    await reset(token).expect(400);
    await sent();
    expect(mailer().sent).toHaveLength(1);
  });

  it('R39: a later link voids the earlier one', async () => {
    const [first, second] = [await askForLink(), await askForLink()];
    await reset(first).expect(400);
    await reset(second).expect(200);
  });

  it('F35: used twice: 200, then 400', async () => {
    const token = await askForLink();
    await reset(token).expect(200);
    await reset(token, 'yet another password').expect(400);
  });

  it('F35: every session, JWT and single-use token of the account ends, and nobody else is touched', async () => {
    const cookie = await signInAs(t.app, ada.id);
    const { token: opaque } = await t.app.get(SessionService).create(ada.id);
    const { token: jwt } = t.app.get(JwtCodecService).encode(ada.id);
    const exchange = await tokens().issue('oidc_exchange', { username: ada.email });
    const change = await tokens().issue('email_change', {
      username: ada.email,
      account: '7',
      from: ada.email,
      to: 'new@example.com',
    });
    const bobUser = await createUser(t.app, `bob${accounts}@example.com`);
    const bob = await signInAs(t.app, bobUser.id);
    const bobs = await tokens().issue('oidc_exchange', { username: bobUser.email });
    const own = [{ Cookie: cookie }, ...[opaque, jwt].map((token) => ({ Authorization: `Bearer ${token}` }))];
    for (const headers of own) await session(headers).expect(200);
    heard.length = 0;
    await reset(await askForLink()).expect(200);
    for (const headers of own) await session(headers).expect(401);
    expect(await tokens().peek('oidc_exchange', exchange)).toBeNull();
    expect(await tokens().peek('email_change', change)).toBeNull();
    expect(await tokens().peek('oidc_exchange', bobs)).not.toBeNull();
    await session({ Cookie: bob }).expect(200);
    const told = heard.filter(({ type }) => type === 'password.reset' || type === 'session.revoked');
    expect(told).toContainEqual({ type: 'password.reset', at: t.clock.now(), userId: ada.id, ip: from });
    expect(told.map(({ type }) => type)).toEqual(['session.revoked', 'password.reset']);
    expect(heard.map(({ type }) => type)).not.toContain('password.changed');
  });

  it('F36: it opens no session, and no step of a login that was under way leads to one', async () => {
    const step = await tokens().issue('pre_auth', { username: ada.email, challengeId: 'a cookie' });
    const token = await askForLink();
    for (const headers of [{}, { Cookie: await signInAs(t.app, ada.id) }]) {
      const answer = await reset(token)
        .set(headers as Record<string, string>)
        .expect('cookie' in headers || 'Cookie' in headers ? 400 : 200);
      expect(answer.get('Set-Cookie')).toBeUndefined();
      expect(Object.keys(answer.body as object)).not.toContain('token');
    }
    expect(await tokens().peek('pre_auth', step, 'a cookie')).toBeNull();
  });

  it('F36: the browser that sends a session along is logged out by it', async () => {
    const cookie = await signInAs(t.app, ada.id);
    const answer = await reset(await askForLink())
      .set('Cookie', cookie)
      .expect(200);
    expect(answer.get('Set-Cookie')).toBeUndefined();
    await session({ Cookie: cookie }).expect(401);
    expect(await t.app.get(SessionService).listForUser(ada.id)).toEqual([]);
  });

  it.each([
    ['address', () => set('email', `'moved${accounts}@example.com'`)],
    ['password', () => users().setPassword(ada.id, 'the new passphrase')],
  ])('F37: a link from before a change of %s is void', async (_, change) => {
    const token = await askForLink();
    await change();
    await reset(token).expect(400);
  });

  it('F37: nor does it open the account that has the address now', async () => {
    const token = await askForLink();
    await set('email', `'moved${accounts}@example.com'`);
    const heir = await createUser(t.app, ada.email);
    await reset(token).expect(400);
    expect(await users().verifyCredentials(heir.email, PASSWORD)).not.toBeNull();
  });

  it('F38: an account without a password is told how to log in, within the same quota', async () => {
    await set('password_hash', `'!'`);
    for (let i = 0; i < 4; i++) await forgot(ada.email, `198.51.100.${i}`).expect(202);
    expect(await kinds()).toEqual(Array(3).fill('no_password'));
    expect(JSON.stringify(mailer().sent)).not.toContain('reset-password');
    // Nor does a link that comes from elsewhere give it one.
    const token = await tokens().issue('password_reset', { username: ada.email });
    await reset(token).expect(400);
    expect(await users().findPasswordHash(ada.id)).toBe('!');
  });

  it('F41: 100 failures in a row disable the password, its owner is told once, and a reset revives it', async () => {
    await t.db.query(`INSERT INTO auth_password_attempts (user_id, failures) VALUES ('${ada.id}', 98)
      ON CONFLICT (user_id) DO UPDATE SET failures = 98, known_places = NULL`);
    for (let i = 0; i < 4; i++) {
      await post('/auth/login', { email: ada.email, password: 'wrong' }, `198.51.100.${i}`).expect(401);
    }
    await login(PASSWORD).expect(401);
    expect(await kinds()).toEqual(['password_disabled']);
    expect(mailer().sent[0]).toMatchObject({ userId: ada.id, exceptKnownPlaces: false });
    // Other methods go on.
    const verify = async () => users().findById(ada.id);
    await t.app.get(LoginService).attempt({ login: null, proofs: ['passkey'], verify });
    const token = await askForLink();
    mailer().sent.length = 0;
    await reset(token).expect(200);
    t.clock.advance(minutes(20));
    await login('wrong').expect(401);
    t.clock.advance(minutes(1));
    await login(NEW_PASSWORD).expect(200);
    expect(await kinds()).toEqual(['password_changed']);
  });

  it('F41: where the account was logged in to before its password still works, and the mail says so', async () => {
    t.clock.advance(minutes(1));
    await login(PASSWORD).expect(200);
    await t.db.query(`UPDATE auth_password_attempts SET failures = 89 WHERE user_id = '${ada.id}'`);
    for (let i = 0; i < 3; i++) {
      await post('/auth/login', { email: ada.email, password: 'wrong' }, `198.51.100.${i}`).expect(401);
    }
    expect(await kinds()).toEqual(['password_disabled']);
    expect(mailer().sent[0]).toMatchObject({ exceptKnownPlaces: true, text: expect.stringMatching(/still works/) });
    await login(PASSWORD).expect(200);
  });

  describe('F22: a fault is 503, and neither the token nor the password has changed', () => {
    const STEPS: readonly (readonly [step: string, trigger: string])[] = [
      ...(IN_POSTGRES ? ([['the token is spent', 'BEFORE DELETE ON auth_ephemeral_tokens']] as const) : []),
      ['the password is written', 'BEFORE UPDATE ON users'],
      ['the sessions end', 'BEFORE DELETE ON sessions'],
    ];
    const FAULTS = [
      ['fails', `RAISE 'no'`],
      ['loses its connection', 'PERFORM pg_terminate_backend(pg_backend_pid())'],
    ] as const;
    const cases = STEPS.flatMap(([step, trigger]) =>
      FAULTS.map(([fault, statement]) => ({ step, trigger, fault, statement })),
    );

    const guarded = async (trigger: string, statement: string, work: () => Promise<unknown>) => {
      await t.db.query(`CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN ${statement}; RETURN NULL; END $$`);
      await t.db.query(`CREATE ${trigger} EXECUTE FUNCTION fault()`);
      try {
        await work();
      } finally {
        await t.db.query('DROP FUNCTION fault CASCADE');
      }
    };
    const isUntouched = async (token: string) => {
      expect(heard.map(({ type }) => type)).not.toContain('password.reset');
      t.clock.advance(minutes(1));
      await login(PASSWORD).expect(200);
      await reset(token).expect(200);
      expect((await kinds()).filter((kind) => kind === 'password_changed')).toHaveLength(1);
    };

    it.each(cases)('F22: PostgreSQL $fault when $step', async ({ trigger, statement }) => {
      const token = await askForLink();
      await guarded(`TRIGGER fault ${trigger} FOR EACH STATEMENT`, statement, async () => {
        expect((await reset(token).expect(503)).body).toMatchObject({ code: 'STORE_UNAVAILABLE' });
      });
      await isUntouched(token);
    });

    it('F22: PostgreSQL fails at the commit', async () => {
      const token = await askForLink();
      const deferred = 'CONSTRAINT TRIGGER fault AFTER UPDATE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW';
      await guarded(deferred, `RAISE 'no'`, () => reset(token).expect(503));
      await isUntouched(token);
    });

    it('F22: neither route can read: forgot-password 202 without a mail, reset-password 503', async () => {
      const token = await askForLink();
      await t.db.query('ALTER TABLE users RENAME TO gone');
      try {
        await forgot().expect(202);
        await sent();
        await reset(token).expect(503);
      } finally {
        await t.db.query('ALTER TABLE gone RENAME TO users');
      }
      expect(await mailTo(ada.email)).toHaveLength(1);
      await isUntouched(token);
    });

    it('F22: the mailer hangs or throws when the owner is to be told: the reset holds all the same', async () => {
      for (const instead of [() => new Promise<void>(() => {}), () => Promise.reject(new Error('away'))]) {
        t.clock.advance(1);
        const token = await askForLink();
        mailer().instead = instead;
        await reset(token).expect(200);
        await sent();
        mailer().instead = undefined;
      }
    });
  });
});

describe('password reset, configured otherwise', () => {
  const apps: TestApp[] = [];
  const start = async (auth: TestAppOptions['auth'], platform: Platform = PLATFORMS[0]) => {
    const t = await startTestApp({ platform, auth: { ...FLOWS, ...auth } });
    apps.push(t);
    return t;
  };
  afterAll(async () => {
    for (const t of apps) await t.close();
  });

  it.each(PLATFORMS)(
    'F16: the 21st request for a mail from one address is 429, whatever the flow, on %s',
    async (platform) => {
      const policies = { ...NO_LOGIN_LIMITS!.policies, password_reset_ip: { limit: 1_000 } };
      const t = await start({ rateLimits: { ...NO_LOGIN_LIMITS, policies } }, platform);
      const ask = (i: number) =>
        request(t.url)
          .post('/auth/forgot-password')
          .send({ email: `nobody${i}@example.com` });
      for (let i = 0; i < 20; i++) await ask(i).expect(202);
      const { headers } = await ask(20).expect(429);
      expect(headers['retry-after']).toBe('900');
    },
  );

  it.each(PLATFORMS)('F35: signed cookies end too, on %s', async (platform) => {
    const t = await start({ session: { scheme: 'signed-cookie' } }, platform);
    const { email } = await createUser(t.app);
    const cookie = cookieOf(await request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(200));
    const get = () => request(t.url).get('/auth/session').set('Cookie', cookie);
    await get().expect(200);
    await request(t.url).post('/auth/forgot-password').send({ email }).expect(202);
    const { token } = (await MemoryMailer.of(t.app)).last('password_reset');
    await request(t.url).post('/auth/reset-password').send({ token, password: NEW_PASSWORD }).expect(200);
    await get().expect(401);
  });

  it('F22: PostgreSQL hangs when the password is written: 503 in time, and nothing has changed', async () => {
    const t = await start({ database: { timeout: 1_000 } });
    const { email } = await createUser(t.app);
    const post = (path: string, body: object) => request(t.url).post(path).send(body);
    await post('/auth/forgot-password', { email }).expect(202);
    const { token } = (await MemoryMailer.of(t.app)).last('password_reset');
    await t.db.query(`CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$`);
    await t.db.query('CREATE TRIGGER hang BEFORE UPDATE ON users EXECUTE FUNCTION hang()');
    await post('/auth/reset-password', { token, password: NEW_PASSWORD }).expect(503);
    await t.db.query('DROP FUNCTION hang CASCADE');
    await post('/auth/login', { email, password: PASSWORD }).expect(200);
    await post('/auth/reset-password', { token, password: NEW_PASSWORD }).expect(200);
  });

  it.each(PLATFORMS)(
    'F27: neither token nor password is in an event, the audit table or the log, on %s',
    async (platform) => {
      const told: string[] = [];
      const levels = (['log', 'warn', 'error', 'debug', 'verbose'] as const).map((level) =>
        jest.spyOn(Logger.prototype, level).mockImplementation((...said: unknown[]) => void told.push(said.join(' '))),
      );
      const t = await start({ audit: { enabled: true } }, platform);
      t.app.get(AuthEvents).on((event) => void told.push(JSON.stringify(event)));
      const { email } = await createUser(t.app);
      const post = (path: string, body: object) => request(t.url).post(path).send(body);
      const password = 'canary-of-a-password';
      // What the mailer throws contains the mail.
      const lost: string[] = [];
      t.app.get(FailingMailer).instead = (mail) => {
        lost.push((mail as Mail<'password_reset'>).token);
        return Promise.reject(new Error(mail.text));
      };
      await post('/auth/forgot-password', { email }).expect(202);
      await MemoryMailer.of(t.app);
      t.app.get(FailingMailer).instead = undefined;
      await post('/auth/forgot-password', { email }).expect(202);
      const { token } = (await MemoryMailer.of(t.app)).last('password_reset');
      await post('/auth/reset-password', { token, password: 'canary' }).expect(422);
      await post('/auth/reset-password', { token, password }).expect(200);
      await post('/auth/reset-password', { token, password }).expect(400);
      await t.app.get(AuditLog).flush();
      told.push(...(await t.db.query('SELECT * FROM auth_audit_events')).map((row) => JSON.stringify(row)));
      for (const spy of levels) spy.mockRestore();
      const all = told.join('\n');
      for (const seen of ['A mail of kind password_reset was not sent', 'token.consumed', 'password.reset']) {
        expect(all).toContain(seen);
      }
      for (const secret of [token, ...lost, 'canary']) expect(all).not.toContain(secret);
      expect(lost).toHaveLength(1);
    },
  );

  it.each(PLATFORMS)('F38: with allowNew an account without a password gets one, on %s', async (platform) => {
    const t = await start({ flows: { passwordReset: { allowNew: true } } }, platform);
    const { id, email } = await createUser(t.app);
    await t.db.query(`UPDATE users SET password_hash = '!' WHERE id = '${id}'`);
    await request(t.url).post('/auth/forgot-password').send({ email }).expect(202);
    const { token } = (await MemoryMailer.of(t.app)).last('password_reset');
    await request(t.url).post('/auth/reset-password').send({ token, password: NEW_PASSWORD }).expect(200);
    await request(t.url).post('/auth/login').send({ email, password: NEW_PASSWORD }).expect(200);
  });

  it('without routes the service works all the same, with the lifetime of the option', async () => {
    const t = await start({
      flows: { passwordReset: { routes: false } },
      ephemeralTokens: { password_reset: { ttl: minutes(10) } },
    });
    const { email } = await createUser(t.app);
    await request(t.url).post('/auth/forgot-password').send({ email }).expect(404);
    const resets = t.app.get(PasswordResetService);
    resets.request(email);
    const { token, validFor, text } = (await MemoryMailer.of(t.app)).last('password_reset');
    expect([validFor, text]).toEqual([minutes(10), expect.stringContaining('10 minutes')]);
    t.clock.advance(minutes(10) - 0.001);
    expect(await resets.reset(token, NEW_PASSWORD)).toMatchObject({ email });
    await request(t.url).post('/auth/login').send({ email, password: NEW_PASSWORD }).expect(200);
  });

  it('an application without the flow has neither its routes nor its service', async () => {
    const t = await start({ flows: {} });
    for (const path of ['/auth/forgot-password', '/auth/reset-password']) await request(t.url).post(path).expect(404);
    expect(() => t.app.get(PasswordResetService)).toThrow();
  });

  it('without a mailer the boot says so', async () => {
    const { db } = await start({ flows: {} }); // dropped only once nothing connects to it any more
    const auth = { flows: { passwordReset: {} } };
    const mistakes = [expect.stringMatching(/^flows\.passwordReset needs mailer/)];
    await expect(startTestApp({ url: db.url, auth })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      facts: { mistakes },
    });
  });

  it('F24: of 50 resets by one link in two processes exactly one changes the password', async () => {
    const t = await start({});
    t.clock.set(Date.now());
    const racers = await startRacers(t.db.url, 2, redisUrls() ?? []);
    try {
      const { email } = await createUser(t.app);
      t.clock.set(Date.now());
      t.app.get(PasswordResetService).request(email);
      const { token } = (await MemoryMailer.of(t.app)).last('password_reset');
      const won = await racers.run({ kind: 'reset', times: 25, tokens: [token] });
      expect(won).toEqual([expect.stringMatching(/^password number \d+ of \d+$/)]);
      await request(t.url)
        .post('/auth/login')
        .send({ email, password: won[0] as string })
        .expect(200);
    } finally {
      await racers.stop();
    }
  }, 60_000);
});
