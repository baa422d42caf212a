import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import {
  EphemeralTokenService,
  hours,
  minutes,
  PostgresUserDirectory,
  SessionService,
  type Mail,
} from 'nestjs-latchkey';
import { AuditLog } from 'nestjs-latchkey/engine';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../../support/app.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import {
  accountOf,
  Browser,
  cookiesOf,
  FLOW_COOKIE,
  kindsTo,
  mailTo,
  newAddress,
  NO_IP_LIMITS,
  REGISTRATION,
} from '../../support/registration.js';

const WRONG_CODE = 'BBBB-BBBB';
const FORGED = 'A'.repeat(43);

describe.each(PLATFORMS)('registration on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: { ...REGISTRATION, audit: { enabled: true } } });
  const heard = eventsHeard(t);
  afterEach(() => {
    t.clock.advance(minutes(1));
  });

  const browser = () => new Browser(t);
  const usersNamed = (email: string) => t.db.query('SELECT * FROM users WHERE email = $1', [email]);
  const expectRefused = (answer: Response) =>
    expect([answer.status, answer.body]).toEqual([
      400,
      { statusCode: 400, code: 'INVALID_LINK', message: 'The link is not valid or has expired.' },
    ]);

  it('F28: there is no account before the mailbox is proved; the link opens it, verified and logged in', async () => {
    const [own, email] = [browser(), newAddress()];
    const { token, link } = await own.register(email, PASSWORD);
    expect(link).toBe(`https://app.example.com/confirm#${token}`);
    expect(await usersNamed(email)).toEqual([]);
    await request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(503); // no account at all
    heard.length = 0;
    const answer = await own.confirm({ token });
    expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'no-store']);
    const account = (await accountOf(t, email))!;
    expect(answer.body).toEqual({
      status: 'authenticated',
      user: { id: account.id, email },
      expiresAt: expect.any(String),
    });
    expect(account).toMatchObject({ emailVerifiedAt: t.clock.now(), roles: [], disabledAt: null });
    const of = { at: t.clock.now(), userId: account.id, ip: '127.0.0.1' };
    expect(heard).toEqual(
      expect.arrayContaining([
        { type: 'account.registered', ...of },
        { type: 'email.verified', ...of },
        expect.objectContaining({ type: 'login.succeeded', userId: account.id, factors: ['password'] }),
      ]),
    );
    const session = cookiesOf(answer)['__Host-session'];
    await request(t.url).get('/auth/session').set('Cookie', `__Host-session=${session}`).expect(200);
    await request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(200);
    // The browser is tied to nothing any more.
    expect(cookiesOf(answer)[FLOW_COOKIE]).toBe('');
    expectRefused(await own.confirm({ token }));
  });

  it('the code does the same in the browser that asked, in any spelling, and the link dies with it', async () => {
    for (const spelled of [(code: string) => code, (code: string) => ` ${code.toLowerCase().replace('-', ' ')} `]) {
      const [own, email] = [browser(), newAddress()];
      const { token, code } = await own.register(email, PASSWORD);
      expect(code).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
      expectRefused(await browser().confirm({ code }));
      const flow = own.cookie(FLOW_COOKIE)!;
      expect((await own.confirm({ code: spelled(code) })).status).toBe(200);
      for (const body of [{ token }, { code }]) {
        const again = request(t.url).post('/auth/register/confirm').set('Cookie', `${FLOW_COOKIE}=${flow}`);
        expectRefused(await again.send(body));
      }
    }
  });

  it('the code dies with the link', async () => {
    const [own, email] = [browser(), newAddress()];
    const { token, code } = await own.register(email, PASSWORD);
    expect((await browser().confirm({ token, password: PASSWORD })).status).toBe(200);
    expectRefused(await own.confirm({ code }));
  });

  it('F29: from another browser the link needs the password again; with another one there is no account', async () => {
    const [attacker, victim, email] = [browser(), browser(), newAddress()];
    const { token } = await attacker.register(email, PASSWORD);
    const missing = await victim.confirm({ token });
    expect([missing.status, missing.body.code, Object.keys(missing.body.fields)]).toEqual([
      422,
      'INVALID_INPUT',
      ['password'],
    ]);
    const wrong = await victim.confirm({ token, password: "the victim's own" });
    expect([wrong.status, wrong.body.code]).toEqual([401, 'INVALID_CREDENTIALS']);
    expect(await usersNamed(email)).toEqual([]);
    // Nor has it been burnt, for whoever does know the password.
    expect((await browser().confirm({ token, password: PASSWORD })).status).toBe(200);
  });

  it("F29: with the attacker's cookie and the victim's click, the victim's browser decides", async () => {
    const [attacker, victim, email] = [browser(), browser(), newAddress()];
    // The victim is in a flow of their own, for another address.
    await victim.register(newAddress(), PASSWORD);
    const { token } = await attacker.register(email, 'chosen by the attacker');
    expect((await victim.confirm({ token })).status).toBe(422);
    // And has asked for this address: the stranger's link is void, and so is the stranger's password.
    const own = await victim.register(email, 'chosen by the victim');
    expectRefused(await attacker.confirm({ token }));
    expect((await victim.confirm({ token: own.token })).status).toBe(200);
    const logIn = (password: string) => request(t.url).post('/auth/login').send({ email, password });
    await logIn('chosen by the attacker').expect(401);
    await logIn('chosen by the victim').expect(200);
  });

  it('F29: wrong passwords for one link are counted: after 5 the right one is 429, and the browser that asked is not asked', async () => {
    const [own, other, email] = [browser(), browser(), newAddress()];
    const { token } = await own.register(email, PASSWORD);
    for (let i = 0; i < 5; i++) expect((await other.confirm({ token, password: `wrong ${i}` })).status).toBe(401);
    const refused = await other.confirm({ token, password: PASSWORD });
    expect([refused.status, refused.body.code, refused.headers['retry-after']]).toEqual([429, 'RATE_LIMITED', '900']);
    expect(await usersNamed(email)).toEqual([]);
    expect((await own.confirm({ token })).status).toBe(200);
  });

  it('wrong codes burn nothing and are counted: after 5 the right one is 429, and the link still works', async () => {
    const [own, email] = [browser(), newAddress()];
    const { token, code } = await own.register(email, PASSWORD);
    for (let i = 0; i < 4; i++) expectRefused(await own.confirm({ code: WRONG_CODE }));
    // Right ones do not count.
    const flow = `${FLOW_COOKIE}=${own.cookie(FLOW_COOKIE)}`;
    expectRefused(await own.confirm({ code: WRONG_CODE }));
    expect((await own.confirm({ code })).status).toBe(429);
    const answer = await request(t.url).post('/auth/register/confirm').set('Cookie', flow).send({ token });
    expect(answer.status).toBe(200);
  });

  it('a password may be chosen at the end; without one nothing is burnt', async () => {
    const [own, email] = [browser(), newAddress()];
    const { token, code } = await own.register(email);
    for (const proof of [{ token }, { code }]) {
      for (const password of [undefined, 'short']) {
        const answer = await own.confirm({ ...proof, password });
        expect([answer.status, Object.keys(answer.body.fields)]).toEqual([422, ['password']]);
      }
    }
    expect(await usersNamed(email)).toEqual([]);
    expect((await own.confirm({ code, password: PASSWORD })).status).toBe(200);
    await request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(200);
  });

  it('a new request voids the earlier link and code', async () => {
    const [own, email] = [browser(), newAddress()];
    const first = await own.register(email, 'an earlier password');
    const second = await own.register(email, PASSWORD);
    expectRefused(await own.confirm({ token: first.token }));
    expectRefused(await own.confirm({ code: first.code }));
    expect((await own.confirm({ code: second.code })).status).toBe(200);
    await request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(200);
  });

  it('another mail has the password that was chosen in this browser, and none from another one', async () => {
    for (const isOwn of [true, false]) {
      const [own, email] = [browser(), newAddress()];
      const first = await own.register(email, PASSWORD);
      const asking = isOwn ? own : browser();
      expect((await asking.post('register/resend', { email })).status).toBe(202);
      const second = await mailTo(t, email);
      expect(second.token).not.toBe(first.token);
      expectRefused(await own.confirm({ token: first.token }));
      expect((await asking.confirm({ code: second.code })).status).toBe(isOwn ? 200 : 422);
      if (isOwn) await request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(200);
    }
  });

  it('a request for which the quota has no mail leaves the browser that of the last one', async () => {
    const [own, email] = [browser(), newAddress()];
    await own.register(email, PASSWORD);
    for (let i = 0; i < 5; i++) {
      expect((await own.post('register/resend', { email })).status).toBe(202);
      await MemoryMailer.of(t.app);
    }
    expect(await kindsTo(t, email)).toHaveLength(3);
    expect((await own.confirm({ code: (await mailTo(t, email)).code })).status).toBe(200);
  });

  it('link and code are dead after 24 hours', async () => {
    const [own, email] = [browser(), newAddress()];
    const { token, code } = await own.register(email, PASSWORD);
    t.clock.advance(hours(24));
    expectRefused(await own.confirm({ token }));
    expectRefused(await own.confirm({ code }));
  });

  describe('F14, F30: which addresses have an account', () => {
    /** Each kind of address. */
    const kinds: Record<string, () => Promise<string>> = {
      unknown: async () => newAddress(),
      taken: async () => (await createUser(t.app)).email,
      disabled: async () => {
        const { id, email } = await createUser(t.app);
        await t.app.get(PostgresUserDirectory).disable(id);
        return email;
      },
      passwordless: async () => {
        const { id, email } = await createUser(t.app);
        await t.db.query("UPDATE users SET password_hash = '!' WHERE id = $1", [id]);
        return email;
      },
      'of another program, not verified': async () => {
        const { id, email } = await createUser(t.app);
        await t.db.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [id]);
        return email;
      },
    };
    /** What is about the client and the moment. */
    const OF_THE_CLIENT = { date: '', ratelimit: '' };
    /** All that a client sees, but for what is random: of that, its length. */
    const seen = ({ status, text, headers }: Response) => {
      const masked = [headers['set-cookie'] ?? []]
        .flat()
        .map((one) => one.replace(/=[^;]+/, (value) => `=${value.length}`));
      return { status, text, headers: { ...headers, ...OF_THE_CLIENT, 'set-cookie': masked } };
    };

    it('F14: every answer is the same, to the byte and the header', async () => {
      const steps = ['register with a password', 'register', 'resend', 'wrong code', 'six wrong codes', 'forged link'];
      const shown: Record<string, unknown[]> = Object.fromEntries(steps.map((step) => [step, []]));
      for (const kind of Object.values(kinds)) {
        const email = await kind();
        const [own, other] = [browser(), browser()];
        const keep = (step: string, answer: Response) => shown[step]!.push(seen(answer));
        keep('register with a password', await own.post('register', { email, password: PASSWORD }));
        keep('register', await other.post('register', { email }));
        keep('resend', await own.post('register/resend', { email }));
        await MemoryMailer.of(t.app);
        keep('wrong code', await own.confirm({ code: WRONG_CODE }));
        for (let i = 0; i < 4; i++) await own.confirm({ code: WRONG_CODE });
        keep('six wrong codes', await own.confirm({ code: WRONG_CODE }));
        keep('forged link', await own.confirm({ token: FORGED, password: PASSWORD }));
      }
      for (const answers of Object.values(shown)) {
        expect(answers).toHaveLength(5);
        for (const answer of answers) expect(answer).toEqual(answers[0]);
      }
      const statuses = steps.map((step) => (shown[step]![0] as { status: number }).status);
      expect(statuses).toEqual([202, 202, 202, 400, 429, 400]);
    });

    it('F30: the owner of a taken address is mailed that there is an account, and nothing else happens', async () => {
      for (const [name, kind] of Object.entries(kinds)) {
        const email = await kind();
        const before = await usersNamed(email);
        await browser().post('register', { email, password: 'a password of a stranger' });
        expect(await kindsTo(t, email)).toEqual([name === 'unknown' ? 'registration' : 'already_registered']);
        expect(await usersNamed(email)).toEqual(before);
      }
    });
  });

  it('the cookie of the flow has the attributes of the session cookie, and lives as long as the link', async () => {
    const answer = await browser().post('register', { email: newAddress() });
    expect(answer.get('Set-Cookie')).toEqual([
      expect.stringMatching(
        new RegExp(`^${FLOW_COOKIE}=[\\w-]{90,100}; Max-Age=86400; Path=/; HttpOnly; Secure; SameSite=Lax$`),
      ),
    ]);
  });

  it('a cookie that is not ours ties to nothing, counts nothing and is not repeated', async () => {
    const email = newAddress();
    const forged = `${FLOW_COOKIE}=${'A'.repeat(95)}.<script>.${'B'.repeat(201)}`;
    const post = (path: string, body: object) => request(t.url).post(`/auth/${path}`).set('Cookie', forged).send(body);
    const cookie = cookiesOf(await post('register', { email, password: PASSWORD }))[FLOW_COOKIE]!;
    expect(cookie.split('.').slice(1)).toEqual(['A'.repeat(95)]);
    const { token, code } = await mailTo(t, email);
    for (let i = 0; i < 7; i++) expectRefused(await post('register/confirm', { code }));
    expect((await post('register/confirm', { token })).status).toBe(422);
  });

  it('F16: to one address go 3 mails in 10 minutes, of either kind; a page of another site sends none', async () => {
    for (const email of [newAddress(), (await createUser(t.app)).email]) {
      for (let i = 0; i < 5; i++) expect((await browser().post('register', { email })).status).toBe(202);
      expect(await kindsTo(t, email)).toHaveLength(3);
      for (const path of ['register', 'register/resend', 'register/confirm']) {
        const answer = await browser().post(path, { email, token: FORGED }, { 'Sec-Fetch-Site': 'cross-site' });
        expect([answer.status, answer.body.code]).toEqual([403, 'CROSS_ORIGIN_REQUEST']);
      }
      t.clock.advance(minutes(10));
      await browser().post('register', { email });
      expect(await kindsTo(t, email)).toHaveLength(4);
    }
  });

  it.each([
    'ada@example.com,eve@example.com',
    'ada@example.com;eve@example.com',
    '"ada"@example.com',
    'Ada <ada@example.com>',
    'ada\u200b@example.com',
    'ada\u202e@example.com',
    'ada@example.com\r\nBcc: eve@example.com',
    'ada',
    '',
  ])('F17: %j is no mailbox: 422, and no mail', async (email) => {
    const { sent } = await MemoryMailer.of(t.app);
    const before = sent.length;
    for (const path of ['register', 'register/resend']) {
      const answer = await browser().post(path, { email });
      expect([answer.status, Object.keys(answer.body.fields)]).toEqual([422, ['email']]);
    }
    await MemoryMailer.of(t.app);
    expect(sent).toHaveLength(before);
  });

  it('F18: no header of the request gets into the link', async () => {
    const email = newAddress();
    const forged = { Host: 'evil.example', 'X-Forwarded-Host': 'evil.example', Forwarded: 'host=evil.example' };
    expect((await browser().post('register', { email }, forged)).status).toBe(202);
    const { link, text } = await mailTo(t, email);
    expect(link).toMatch(/^https:\/\/app\.example\.com\/confirm#/);
    expect(text).not.toContain('evil');
  });

  it('F19: HEAD and 10 GET of the link, and of the route, change nothing', async () => {
    const [own, email] = [browser(), newAddress()];
    const { token, link } = await own.register(email, PASSWORD);
    const { pathname, hash } = new URL(link);
    for (const path of [`${pathname}${hash}`, `/auth/register/confirm?token=${token}`, '/auth/register/confirm']) {
      for (let i = 0; i < 10; i++) await request(t.url).get(path).expect(404);
      await request(t.url).head(path).expect(404);
    }
    expect((await own.confirm({ token })).status).toBe(200);
  });

  it('F21, F32: what a body may not have is 422, has no effect, and nobody gets a role', async () => {
    const [own, email] = [browser(), newAddress()];
    const { token } = await own.register(email, PASSWORD);
    const others = { roles: ['admin'], id: '1', emailVerifiedAt: 1, disabledAt: null, userId: '1', passwordHash: '!' };
    const bodies = [
      ['register', { email, password: PASSWORD }],
      ['register/resend', { email }],
      ['register/confirm', { token }],
    ] as const;
    for (const [path, body] of bodies) {
      for (const [key, value] of Object.entries(others)) {
        const answer = await own.post(path, { ...body, [key]: value });
        expect([answer.status, answer.body.code, answer.body.fields]).toEqual([
          422,
          'INVALID_INPUT',
          { [key]: 'is not a field here' },
        ]);
      }
    }
    expect(await usersNamed(email)).toEqual([]);
    expect((await own.confirm({ token })).status).toBe(200);
    expect(await usersNamed(email)).toMatchObject([{ roles: [], disabled_at: null }]);
  });

  it.each([
    [{}, 'token'],
    [{ token: FORGED, code: WRONG_CODE }, 'token'],
    [{ token: 5 }, 'token'],
    [{ token: 'x'.repeat(1_025) }, 'token'],
    [{ code: ['x'] }, 'code'],
    [{ code: 'x'.repeat(41) }, 'code'],
  ])('the wrong shape of a proof is 422: %j', async (body, field) => {
    const answer = await browser().confirm(body);
    expect([answer.status, Object.keys(answer.body.fields)]).toEqual([422, [field]]);
  });

  it('F10: a token of another kind opens no account and is not spent, nor does this one do anything else', async () => {
    const tokens = t.app.get(EphemeralTokenService);
    const { email: username } = await createUser(t.app);
    const [own, email] = [browser(), newAddress()];
    const { token } = await own.register(email, PASSWORD);
    const others = {
      password_reset: await tokens.issue('password_reset', { username }),
      pre_auth: await tokens.issue('pre_auth', { username }),
      oidc_exchange: await tokens.issue('oidc_exchange', { username }),
      email_change: await tokens.issue('email_change', { username, account: '7', from: username, to: email }),
    } as const;
    for (const [type, other] of Object.entries(others)) {
      expectRefused(await own.confirm({ token: other, password: PASSWORD }));
      expect(await tokens.consume(type as 'password_reset', token)).toBeNull();
      expect(await tokens.consume(type as 'password_reset', other)).toMatchObject({ username });
    }
    expect(await usersNamed(email)).toEqual([]);
    expect((await own.confirm({ token })).status).toBe(200);
  });

  it('F22: a fault while the account is written is 503; nothing is consumed and nobody logged in', async () => {
    const [own, email] = [browser(), newAddress()];
    const { token, code } = await own.register(email, PASSWORD);
    await t.db.query(`CREATE FUNCTION refuse_user() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '57014'; END $$`);
    await t.db.query('CREATE TRIGGER refuse BEFORE INSERT ON users EXECUTE FUNCTION refuse_user()');
    heard.length = 0;
    try {
      for (const proof of [{ token }, { code }]) {
        const answer = await own.confirm(proof);
        expect([answer.status, answer.body.code, answer.get('Set-Cookie')]).toEqual([
          503,
          'STORE_UNAVAILABLE',
          undefined,
        ]);
      }
    } finally {
      await t.db.query('DROP FUNCTION refuse_user CASCADE');
    }
    expect(heard.map(({ type }) => type)).not.toContain('account.registered');
    expect((await own.confirm({ code })).status).toBe(200);
  });

  it('F31: 50 at once: one account, one session, and everybody else sees a link that is not valid', async () => {
    const [own, email] = [browser(), newAddress()];
    const { token, code } = await own.register(email, PASSWORD);
    const flow = `${FLOW_COOKIE}=${own.cookie(FLOW_COOKIE)}`;
    const confirm = (body: object) => request(t.url).post('/auth/register/confirm').set('Cookie', flow).send(body);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        confirm(i < 3 ? { code } : { token, password: i % 2 ? undefined : PASSWORD }),
      ),
    );
    const won = answers.filter(({ status }) => status === 200);
    expect(won).toHaveLength(1);
    for (const answer of answers) if (answer !== won[0] && answer.status !== 429) expectRefused(answer);
    expect(await usersNamed(email)).toHaveLength(1);
    expect(await t.app.get(SessionService).listForUser(won[0]!.body.user.id)).toHaveLength(1);
  });

  it('F31: an account that came first: the link is not valid, changes nothing, and is spent', async () => {
    const [own, email] = [browser(), newAddress()];
    const { token } = await own.register(email, 'a password of the link');
    const { id } = await createUser(t.app, email);
    const before = await usersNamed(email);
    expectRefused(await own.confirm({ token }));
    expect(await usersNamed(email)).toEqual(before);
    await t.db.query('DELETE FROM users WHERE id = $1', [id]);
    expectRefused(await own.confirm({ token }));
  });

  it('F34: no password is no blank one', async () => {
    const [own, email] = [browser(), newAddress()];
    expect((await own.post('register', { email, password: '' })).status).toBe(422);
    expect((await own.post('register', { email, password: null })).status).toBe(422);
    const { token } = await own.register(email);
    for (const password of ['', '!', null]) expect((await own.confirm({ token, password })).status).toBe(422);
    expect(await usersNamed(email)).toEqual([]);
    const passwordless = await createUser(t.app);
    await t.db.query("UPDATE users SET password_hash = '!' WHERE id = $1", [passwordless.id]);
    for (const [password, status] of [
      ['', 422],
      ['!', 401],
      [null, 422],
      ['!'.repeat(1_000), 401],
    ] as const) {
      const login = { email: passwordless.email, password };
      await request(t.url).post('/auth/login').send(login).expect(status);
    }
  });

  it('takes forms too', async () => {
    const [own, email] = [browser(), newAddress()];
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const send = (path: string, body: Record<string, string>) =>
      own.post(path, new URLSearchParams(body).toString(), form);
    expect((await send('register', { email, password: PASSWORD })).status).toBe(202);
    await MemoryMailer.of(t.app);
    expect((await send('register/resend', { email })).status).toBe(202);
    const { token } = await mailTo(t, email);
    expect((await send('register/confirm', { token })).status).toBe(200);
  });

  it('an address longer than its column gets an account too', async () => {
    const [own, email] = [browser(), `${'a'.repeat(60)}@${'b'.repeat(60)}.${'c'.repeat(60)}.example`];
    const { code } = await own.register(email, PASSWORD);
    expect((await own.confirm({ code })).body.user.email).toBe(email);
  });

  it('the session that the browser had ends', async () => {
    const [own, email] = [browser(), newAddress()];
    const other = await createUser(t.app);
    await own.post('login', { email: other.email, password: PASSWORD });
    const before = `__Host-session=${own.cookie('__Host-session')}`;
    const { token } = await own.register(email, PASSWORD);
    await request(t.url).get('/auth/session').set('Cookie', before).expect(200);
    expect((await own.confirm({ token })).status).toBe(200);
    await request(t.url).get('/auth/session').set('Cookie', before).expect(401);
  });

  it('F27: no event, audit row, log or stored row has a token, code, password or its hash', async () => {
    const written: unknown[] = [];
    const keep = (...texts: unknown[]) => void written.push(texts);
    t.app.useLogger({ log: keep, error: keep, warn: keep, debug: keep, verbose: keep, fatal: keep });
    const [own, email] = [browser(), newAddress()];
    const canary = 'a canary of a password';
    heard.length = 0;
    const { token, code } = await own.register(email, canary);
    const [stored] = await t.db.query<{ payload: { passwordHash?: string } }>(
      'SELECT payload FROM auth_ephemeral_tokens WHERE username = $1',
      [email],
    );
    await own.confirm({ code: WRONG_CODE });
    await browser().confirm({ token, password: 'not the canary' });
    const flow = own.cookie(FLOW_COOKIE)!;
    await own.confirm({ code });
    await own.confirm({ token });
    await t.app.get(AuditLog).flush();
    t.app.useLogger(false);
    const rows = await t.db.query('SELECT to_jsonb(a) AS row FROM auth_audit_events a');
    const told = JSON.stringify([heard, rows, written]);
    expect(heard.map(({ type }) => type)).toEqual(expect.arrayContaining(['account.registered', 'token.refused']));
    for (const secret of [token, code, code.replace('-', ''), canary, flow, stored?.payload.passwordHash ?? canary]) {
      expect(told).not.toContain(secret);
    }
    for (const secret of [token, code, canary]) expect(JSON.stringify(stored ?? {})).not.toContain(secret);
  });
});

/** Sends mail, or does not. */
@Injectable()
class FlakyMailer extends MemoryMailer {
  mood: 'well' | 'throws' | 'hangs' = 'well';

  override async send(mail: Mail): Promise<void> {
    if (this.mood === 'hangs') return new Promise(() => {});
    if (this.mood === 'throws') throw new Error('no');
    return super.send(mail);
  }
}

it.each(PLATFORMS)(
  'F15: on %s, a mailer that throws or hangs: the same answer, and a new request works at once',
  async (platform) => {
    const t = await startTestApp({ platform, auth: { ...REGISTRATION, mailer: FlakyMailer } });
    try {
      const mailer = t.app.get(FlakyMailer);
      const answers: object[] = [];
      for (const mood of ['well', 'throws', 'hangs'] as const) {
        const emails = [newAddress(), (await createUser(t.app)).email];
        const ask = async (times: number) => {
          for (const email of emails) {
            for (let i = 0; i < times; i++) {
              const { status, text } = await new Browser(t).post('register', { email, password: PASSWORD });
              answers.push({ status, text });
            }
          }
          await MemoryMailer.of(t.app);
        };
        mailer.mood = mood;
        await ask(3);
        mailer.mood = 'well';
        if (mood !== 'well') {
          // What was never sent is void, and has cost nothing.
          for (const email of emails) expect(mailer.to(email)).toEqual([]);
          const rows = await t.db.query('SELECT 1 FROM auth_ephemeral_tokens WHERE username = ANY($1)', [emails]);
          expect(rows).toEqual([]);
          await ask(3);
        }
        for (const email of emails) expect(mailer.to(email)).toHaveLength(3);
      }
      for (const answer of answers) expect(answer).toEqual(answers[0]);
    } finally {
      await t.close();
    }
  },
);

it.each(PLATFORMS)(
  'F16: on %s, one client asks for 10 accounts in an hour, and for 20 mails in 15 minutes',
  async (platform) => {
    for (const [raised, limit] of [
      ['mail_ip', 10],
      ['register_ip', 20],
    ] as const) {
      const policies = { ...NO_IP_LIMITS?.policies, register_ip: { limit: 10 }, mail_ip: { limit: 20 } };
      const rateLimits = { ...NO_IP_LIMITS, policies: { ...policies, [raised]: { limit: 100_000 } } };
      const t = await startTestApp({ platform, auth: { ...REGISTRATION, rateLimits } });
      try {
        for (let i = 0; i < limit; i++) {
          const path = i % 2 ? 'register' : 'register/resend';
          expect((await new Browser(t).post(path, { email: newAddress() })).status).toBe(202);
        }
        for (const path of ['register', 'register/resend']) {
          const answer = await new Browser(t).post(path, { email: newAddress() });
          expect([answer.status, answer.body.code]).toEqual([429, 'RATE_LIMITED']);
          expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
          expect(answer.headers['ratelimit']).toMatch(/"(register|mail)_ip";r=0/);
        }
      } finally {
        await t.close();
      }
    }
  },
);

it('F30: an account of another program, whose mailbox nobody has proved, is taken too', async () => {
  const t = await startTestApp({ auth: { ...REGISTRATION, flows: { registration: {} } } });
  try {
    const { id, email } = await createUser(t.app);
    await t.db.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [id]);
    await new Browser(t).post('register', { email, password: 'a password of a stranger' });
    expect(await kindsTo(t, email)).toEqual(['already_registered']);
  } finally {
    await t.close();
  }
});

it('a flow without routes has its service; one that is not named has nothing', async () => {
  const t = await startTestApp({ auth: { ...REGISTRATION, flows: { registration: { routes: false } } } });
  try {
    await request(t.url).post('/auth/register').send({ email: newAddress() }).expect(404);
  } finally {
    await t.close();
  }
});
