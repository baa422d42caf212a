import { afterEach, describe, expect, it } from '@jest/globals';
import { minutes, PostgresUserDirectory, SessionService, type AuthUser } from 'nestjs-latchkey';
import { AuditLog } from 'nestjs-latchkey/engine';
import { totpOf } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../../support/app.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { LINK_COOKIE, LinkBrowser, MAGIC_LINK } from '../../support/magic-link.js';
import { cookiesOf, kindsTo, newAddress } from '../../support/registration.js';
import { enrol } from '../../support/two-factor.js';

const WRONG_CODE = 'BBBB-BBBB';

describe.each(PLATFORMS)('logins by mailed link on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: { ...MAGIC_LINK, audit: { enabled: true } } });
  const heard = eventsHeard(t);
  afterEach(() => {
    t.clock.advance(minutes(1));
  });

  const browser = () => new LinkBrowser(t);
  const users = () => t.app.get(PostgresUserDirectory);
  const sessionsOf = ({ id }: AuthUser) => t.app.get(SessionService).listForUser(id);
  const expectRefused = (answer: Response) => {
    expect([answer.status, answer.body.code, cookiesOf(answer)]).toEqual([400, 'INVALID_LINK', {}]);
  };

  it('F19: the link logs in once, by a click; HEAD and 10 GET of it, and of the route, change nothing', async () => {
    const [own, user] = [browser(), await createUser(t.app)];
    const { token, code, link } = await own.ask(user.email, { returnTo: '/notes?sort=date#last' });
    expect(link).toBe(`https://app.example.com/log-in#${token}`);
    for (const path of [new URL(link).pathname, `/auth/magic-link/confirm?token=${token}`]) {
      for (let i = 0; i < 10; i++) await request(t.url).get(path).expect(404);
      await request(t.url).head(path).expect(404);
    }
    heard.length = 0;
    const answer = await own.confirm({ token });
    expect([answer.status, answer.headers['cache-control'], answer.body]).toEqual([
      200,
      'no-store',
      {
        status: 'authenticated',
        user: { id: user.id, email: user.email },
        expiresAt: expect.any(String),
        returnTo: '/notes?sort=date#last',
      },
    ]);
    expect(cookiesOf(answer)[LINK_COOKIE]).toBe('');
    const { body } = await own.send('get', 'session');
    expect(body.session).toMatchObject({ aal: 1, amr: ['magic-link'] });
    expect(heard).toContainEqual(
      expect.objectContaining({ type: 'login.succeeded', userId: user.id, factors: ['magic-link'] }),
    );
    for (const proof of [{ token }, { code }]) expectRefused(await own.confirm(proof));
  });

  it('F76: another browser gets no session and spends nothing; the code works where it was asked for', async () => {
    const [own, other, user, stranger] = [browser(), browser(), await createUser(t.app), await createUser(t.app)];
    const { token, code } = await own.ask(user.email);
    // Somebody who has asked for a link too: that browser is known, as another one.
    await other.ask(stranger.email);
    heard.length = 0;
    for (const proof of [{ token }, { code }]) {
      expectRefused(await other.confirm(proof));
      expectRefused(await browser().confirm(proof));
    }
    expect(heard.map(({ type }) => type)).not.toContain('login.succeeded');
    expect(heard).toContainEqual(expect.objectContaining({ type: 'login.failed', reason: 'INVALID_LINK' }));
    expect(await sessionsOf(user)).toEqual([]);
    expect((await own.confirm({ code: ` ${code.toLowerCase().replace('-', '')} ` })).status).toBe(200);
  });

  it('F14: the same answer for every kind of account, and a mail for those that can log in', async () => {
    const [known, disabled, passwordless] = [
      await createUser(t.app),
      await createUser(t.app),
      await createUser(t.app),
    ] as const;
    await users().disable(disabled.id);
    await t.db.query("UPDATE users SET password_hash = '!' WHERE id = $1", [passwordless.id]);
    const [unknown, answers] = [newAddress(), [] as object[]];
    for (const email of [known.email, disabled.email, passwordless.email, unknown, known.email.toUpperCase()]) {
      const { status, text, headers } = await browser().post('magic-link', { email });
      answers.push({ status, text, headers: Object.keys(headers).toSorted() });
    }
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(await kindsTo(t, known.email)).toEqual(['magic_link', 'magic_link']);
    expect(await kindsTo(t, passwordless.email)).toEqual(['magic_link']);
    for (const email of [disabled.email, unknown]) expect(await kindsTo(t, email)).toEqual([]);
  });

  it('F16: at most 3 mails in 10 minutes to one address, however it is spelled, and none for another site', async () => {
    const { email } = await createUser(t.app);
    for (let i = 0; i < 5; i++) {
      const answer = await browser().post('magic-link', { email: i % 2 ? email : email.toUpperCase() });
      expect(answer.status).toBe(202);
    }
    expect(await kindsTo(t, email)).toHaveLength(3);
    t.clock.advance(minutes(10));
    for (const [path, body] of [
      ['magic-link', { email }],
      ['magic-link/confirm', { token: 'A'.repeat(43) }],
    ] as const) {
      expect((await browser().post(path, body, { 'Sec-Fetch-Site': 'cross-site' })).status).toBe(403);
    }
    expect(await kindsTo(t, email)).toHaveLength(3);
    await browser().ask(email);
    expect(await kindsTo(t, email)).toHaveLength(4);
  });

  it.each<[string, (user: AuthUser, own: LinkBrowser) => Promise<unknown>]>([
    ['a newer one', (user, own) => own.ask(user.email)],
    ['a newer one of another browser', (user) => browser().ask(user.email)],
    ['a new password', (user) => users().setPassword(user.id, 'a brand new passphrase')],
    ['signing out everywhere', (user) => users().invalidateTokens(user.id, t.clock.now())],
    ['a disabling', (user) => users().disable(user.id)],
    [
      'another address',
      async ({ id, email: from }) => {
        await users().setEmail(id, { from, to: newAddress(), verifiedAt: t.clock.now() });
      },
    ],
    ['a deletion', (user) => users().delete(user.id)],
    ['ten minutes', async () => t.clock.advance(minutes(10))],
  ])('F25: %s voids the link and its code', async (_, voids) => {
    const [own, user] = [browser(), await createUser(t.app)];
    const { token, code } = await own.ask(user.email);
    await voids(user, own);
    for (const proof of [{ token }, { code }]) expectRefused(await own.confirm(proof));
    expect(await sessionsOf(user)).toEqual([]);
  });

  it('5 wrong codes in 15 minutes: the right one is 429 then, and works later; the link is not limited by them', async () => {
    const [own, user] = [browser(), await createUser(t.app)];
    const { token, code } = await own.ask(user.email);
    for (let i = 0; i < 5; i++) expectRefused(await own.confirm({ code: WRONG_CODE }));
    const answer = await own.confirm({ code });
    expect([answer.status, answer.body.code]).toEqual([429, 'RATE_LIMITED']);
    // An address without an account is guessed at as often.
    const nobody = browser();
    await nobody.post('magic-link', { email: newAddress() });
    for (let i = 0; i < 5; i++) expectRefused(await nobody.confirm({ code: WRONG_CODE }));
    expect((await nobody.confirm({ code: WRONG_CODE })).status).toBe(429);
    expect((await own.confirm({ token })).status).toBe(200);
  });

  it('F11: a user with a second factor is asked for it, and has no session before', async () => {
    const [own, user] = [browser(), await createUser(t.app)];
    const { secret } = await enrol(t, user);
    const before = (await sessionsOf(user)).length;
    const { code } = await own.ask(user.email, { returnTo: '/notes' });
    const { status, body } = await own.confirm({ code });
    expect([status, body]).toEqual([
      200,
      {
        status: 'second_factor',
        token: expect.any(String),
        methods: expect.arrayContaining(['totp']),
        expiresAt: expect.any(String),
        returnTo: '/notes',
      },
    ]);
    expect([own.cookie('__Host-session'), await sessionsOf(user)]).toEqual([undefined, expect.any(Array)]);
    expect(await sessionsOf(user)).toHaveLength(before);
    const proof = { token: body.token as string, method: 'totp', code: totpOf(secret, t.clock) };
    expect((await own.post('2fa/verify', proof)).status).toBe(200);
    const { session } = (await own.send('get', 'session')).body as { session: object };
    expect(session).toMatchObject({ amr: ['magic-link', 'totp'] });
  });

  it('F24: 50 at once: one session', async () => {
    const [own, user] = [browser(), await createUser(t.app)];
    const { token } = await own.ask(user.email);
    const cookie = `${LINK_COOKIE}=${own.cookie(LINK_COOKIE)}`;
    const answers = await Promise.all(
      Array.from({ length: 50 }, () =>
        request(t.url).post('/auth/magic-link/confirm').set('Cookie', cookie).send({ token }),
      ),
    );
    const won = answers.filter(({ status }) => status === 200);
    expect(won).toHaveLength(1);
    for (const answer of answers) if (answer !== won[0]) expectRefused(answer);
    expect(await sessionsOf(user)).toHaveLength(1);
  });

  it('the session that the browser had ends', async () => {
    const [own, user, before] = [browser(), await createUser(t.app), await createUser(t.app)];
    await own.post('login', { email: before.email, password: PASSWORD });
    const { token } = await own.ask(user.email);
    expect((await own.confirm({ token })).status).toBe(200);
    expect(await sessionsOf(before)).toEqual([]);
    expect((await own.send('get', 'session')).body.user.id).toBe(user.id);
  });

  it('F27: no event, audit row, log or stored row has a token or code', async () => {
    const written: unknown[] = [];
    const keep = (...texts: unknown[]) => void written.push(texts);
    t.app.useLogger({ log: keep, error: keep, warn: keep, debug: keep, verbose: keep, fatal: keep });
    const [own, { email }] = [browser(), await createUser(t.app)];
    heard.length = 0;
    const { token, code } = await own.ask(email);
    const stored = await t.db.query('SELECT to_jsonb(e) AS row FROM auth_ephemeral_tokens e');
    await own.confirm({ code: WRONG_CODE });
    const flow = own.cookie(LINK_COOKIE)!;
    await own.confirm({ code });
    await own.confirm({ token });
    await t.app.get(AuditLog).flush();
    t.app.useLogger(false);
    const told = JSON.stringify([
      heard,
      stored,
      await t.db.query('SELECT to_jsonb(a) AS row FROM auth_audit_events a'),
      written,
    ]);
    expect(heard.map(({ type }) => type)).toEqual(expect.arrayContaining(['login.failed', 'login.succeeded']));
    for (const secret of [token, code, code.replace('-', ''), flow]) expect(told).not.toContain(secret);
  });
});
