import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  EphemeralTokenService,
  hours,
  JwtCodecService,
  minutes,
  PostgresUserDirectory,
  SessionService,
  type AuthUser,
} from 'nestjs-latchkey';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, NO_LOGIN_LIMITS, PASSWORD, PLATFORMS, startTestApp } from '../../support/app.js';
import { sharedTestApp } from '../../support/shared-app.js';
import { cookieOf } from '../../support/cookies.js';

const NEXT = 'a better passphrase';
const WRONG = 'not the passphrase';

describe.each(PLATFORMS)('POST change-password on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    auth: {
      baseUrl: 'https://app.example.com',
      mailer: MemoryMailer,
      flows: { passwordChange: {} },
      jwt: { sessions: true },
    },
  });
  const mailer = () => t.app.get(MemoryMailer);
  const users = () => t.app.get(PostgresUserDirectory);
  let ada: AuthUser;

  beforeEach(async () => {
    t.clock.advance(minutes(20));
    ada = await createUser(t.app);
    mailer().sent.length = 0;
  });

  type Headers = Record<string, string>;
  const change = (headers: Headers, currentPassword: unknown = PASSWORD, newPassword: unknown = NEXT, more = {}) =>
    request(t.url)
      .post('/auth/change-password')
      .set(headers)
      .send({ currentPassword, newPassword, ...more });
  const session = (headers: Headers) => request(t.url).get('/auth/session').set(headers);
  const signIn = async (context: { authenticatedAt?: number } = {}) => ({
    Cookie: await signInAs(t.app, ada.id, context),
  });
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
  const logIn = (password: string) => request(t.url).post('/auth/login').send({ email: ada.email, password });
  const kinds = async () => (await MemoryMailer.of(t.app)).to(ada.email).map(({ kind }) => kind);
  const withoutPassword = () => t.db.query(`UPDATE users SET password_hash = '!' WHERE id = '${ada.id}'`);

  it('F39: a new cookie, with which the session goes on; the own old one and every other are dead', async () => {
    const [own, other] = [await signIn(), await signIn()];
    const { token: opaque } = await t.app.get(SessionService).create(ada.id);
    const { token: jwt } = t.app.get(JwtCodecService).encode(ada.id);
    const exchange = await t.app.get(EphemeralTokenService).issue('oidc_exchange', { username: ada.email });
    const dying = [own, other, bearer(opaque), bearer(jwt)];
    for (const headers of dying) await session(headers).expect(200);
    const answer = await change(own).expect(200);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.body).toEqual({ user: { id: ada.id, email: ada.email }, expiresAt: expect.any(String) });
    for (const headers of dying) await session(headers).expect(401);
    expect(await t.app.get(EphemeralTokenService).peek('oidc_exchange', exchange)).toBeNull();
    await session({ Cookie: cookieOf(answer) }).expect(200);
    await logIn(PASSWORD).expect(401);
    await logIn(NEXT).expect(200);
  });

  it.each(['opaque', 'JWT'])(
    'F39: a bearer token that is %s is replaced in the body, without a cookie',
    async (kind) => {
      const own =
        kind === 'JWT'
          ? t.app.get(JwtCodecService).encode(ada.id).token
          : (await t.app.get(SessionService).create(ada.id)).token;
      const answer = await change(bearer(own)).expect(200);
      expect(answer.get('Set-Cookie')).toBeUndefined();
      await session(bearer(own)).expect(401);
      await session(bearer(answer.body.token as string)).expect(200);
    },
  );

  it('F39: 5 wrong ones, then 429 for the right one too, from every session of the account', async () => {
    const [own, other] = [await signIn(), await signIn()];
    for (let i = 0; i < 5; i++) {
      const { body } = await change(i % 2 ? own : other, WRONG).expect(401);
      expect(body).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    }
    const { headers } = await change(own).expect(429);
    expect(headers['retry-after']).toBe('900');
    await session(own).expect(200);
    await logIn(PASSWORD).expect(200);
  });

  it('F12: a wrong one counts among the failures in a row of the logins', async () => {
    await t.db.query(`INSERT INTO auth_password_attempts (user_id, failures) VALUES ('${ada.id}', 99)`);
    await change(await signIn(), WRONG).expect(401);
    await logIn(PASSWORD).expect(401);
    expect(await kinds()).toEqual(['password_disabled']);
  });

  it.each([
    ['unknown', {}],
    ['ended', { Cookie: '__Host-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }],
  ])('without a session (%s): 401, and nothing is counted', async (_, headers: Headers) => {
    const { body } = await change(headers).expect(401);
    expect(body).toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('a page of another site changes nothing', async () => {
    const own = await signIn();
    await change({ ...own, 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.example' }).expect(403);
    await logIn(PASSWORD).expect(200);
  });

  it.each(['roles', 'id', 'emailVerifiedAt', 'disabledAt', 'userId'])('F21: a field %s is refused', async (field) => {
    const own = await signIn();
    const { body } = await change(own, PASSWORD, NEXT, { [field]: ada.id }).expect(422);
    expect(body).toMatchObject({ code: 'INVALID_INPUT', fields: { [field]: 'is not a field here' } });
    await session(own).expect(200);
    await logIn(PASSWORD).expect(200);
  });

  it.each([undefined, null, 5, '', ['x'], { length: 9 }])('a current password that is none: %j', async (current) => {
    const own = await signIn();
    const body = { newPassword: NEXT, ...(current === undefined ? {} : { currentPassword: current }) };
    const answer = await request(t.url).post('/auth/change-password').set(own).send(body).expect(422);
    expect(Object.keys(answer.body.fields as object)).toEqual(['currentPassword']);
    await logIn(PASSWORD).expect(200);
  });

  it('F26: the owner is told once, at the address of the account', async () => {
    const own = await signIn();
    await change(own, WRONG).expect(401);
    await change(own).expect(200);
    expect(await kinds()).toEqual(['password_changed']);
    expect(mailer().sent).toHaveLength(1);
    for (const secret of [PASSWORD, NEXT]) expect(JSON.stringify(mailer().sent)).not.toContain(secret);
  });

  it('F22: a fault is 503; neither the password nor a session has changed, and nobody is told', async () => {
    const own = await signIn();
    await t.db.query(`CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`);
    await t.db.query('CREATE TRIGGER fault BEFORE UPDATE ON users EXECUTE FUNCTION fault()');
    try {
      const answer = await change(own).expect(503);
      expect(answer.get('Set-Cookie')).toBeUndefined();
    } finally {
      await t.db.query('DROP FUNCTION fault CASCADE');
    }
    expect(await kinds()).toEqual([]);
    await logIn(PASSWORD).expect(200);
    await change(own).expect(200);
  });

  describe('F40: an account without a password', () => {
    beforeEach(withoutPassword);
    const set = (headers: Headers) =>
      request(t.url).post('/auth/change-password').set(headers).send({ newPassword: NEXT });

    it('F40: gets its first one in a fresh session, and then has it', async () => {
      const own = await signIn();
      await set(own).expect(200);
      const answer = await logIn(NEXT).expect(200);
      expect(await kinds()).toEqual(['password_changed']);
      await set({ Cookie: cookieOf(answer) }).expect(422);
    });

    it('F40: not in a stale one, to the exact instant, however often it was used', async () => {
      const authenticatedAt = t.clock.now();
      const [fresh, stale] = [await signIn({ authenticatedAt }), await signIn({ authenticatedAt })];
      t.clock.advance(minutes(15) - 1);
      await session(stale).expect(200);
      t.clock.advance(1);
      const refused = await set(stale).expect(401);
      expect(refused.body).toMatchObject({ code: 'STEP_UP_REQUIRED', required: { maxAge: 900 }, methods: [] });
      expect(refused.headers['www-authenticate']).toMatch(
        /^Bearer error="insufficient_user_authentication".* max_age="900"$/,
      );
      expect(refused.get('Set-Cookie')).toBeUndefined();
      expect(await users().findPasswordHash(ada.id)).toBe('!');
      expect(await kinds()).toEqual([]);
      t.clock.set(authenticatedAt + minutes(15) - 1);
      await set(fresh).expect(200);
    });

    it('F82: to choose a password proves nothing: no session takes the place of this one, which would be a fresh one', async () => {
      const [own, other] = [await signIn(), await signIn()];
      const answer = await set(own).expect(200);
      expect(answer.body).toEqual({ user: { id: ada.id, email: ada.email }, expiresAt: null });
      expect(answer.get('Set-Cookie')![0]).toMatch(/^__Host-session=;.*Max-Age=0/);
      for (const cookie of [own, other]) await session(cookie).expect(401);
      expect(await t.app.get(SessionService).listForUser(ada.id)).toEqual([]);
    });

    it('F40: nor by any password: none is the current one', async () => {
      for (const current of ['!', PASSWORD, NEXT]) await change(await signIn(), current).expect(401);
    });

    it('F40: of two at once one sets it', async () => {
      const both = [await signIn(), await signIn()];
      const answers = await Promise.all(both.map((headers) => set(headers)));
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
      await logIn(NEXT).expect(200);
    });
  });
});

it('F40: flows.freshness says how long a session is fresh', async () => {
  const t = await startTestApp({
    auth: { rateLimits: NO_LOGIN_LIMITS, flows: { passwordChange: {}, freshness: hours(2) } },
  });
  try {
    const { id } = await createUser(t.app);
    await t.db.query(`UPDATE users SET password_hash = '!' WHERE id = '${id}'`);
    const [one, two] = [await signInAs(t.app, id), await signInAs(t.app, id)];
    const set = (cookie: string) =>
      request(t.url).post('/auth/change-password').set('Cookie', cookie).send({ newPassword: NEXT });
    t.clock.advance(hours(2));
    await set(one).expect(401);
    t.clock.advance(-1);
    await set(two).expect(200);
  } finally {
    await t.close();
  }
});
