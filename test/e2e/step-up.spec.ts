import { Controller, Delete, Get, Req, Res } from '@nestjs/common';
import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  CurrentSession,
  CurrentUser,
  days,
  hours,
  HttpSessions,
  JwtCodecService,
  minutes,
  PostgresUserDirectory,
  RequireAal,
  RequireAmr,
  RequireFresh,
  RequireRole,
  seconds,
  SessionService,
  type AuthUser,
  type HttpRequest,
  type Session,
} from 'nestjs-latchkey';
import { LoginService } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../support/app.js';
import { OpenHandlers } from '../support/open-handlers.js';
import { eventsHeard, sharedTestApp } from '../support/shared-app.js';
import { challengeIn } from '../support/challenge.js';
import { cookieOf } from '../support/cookies.js';
import { reusesDuring } from '../support/heard.js';
import { VARIANT } from '../support/variant.js';

@Controller('vault')
class VaultController {
  constructor(private readonly http: HttpSessions) {}

  @Get()
  open() {
    return {};
  }

  @RequireFresh(minutes(5))
  @Get('fresh')
  fresh(@CurrentUser('id') id: string) {
    return { id };
  }

  @RequireFresh()
  @Get('default')
  byDefault() {
    return {};
  }

  @RequireAal(2)
  @Get('aal')
  aal() {
    return {};
  }

  @RequireAmr('passkey', 'totp')
  @Get('amr')
  amr() {
    return {};
  }

  @RequireAmr('password')
  @Get('password')
  password() {
    return {};
  }

  @RequireAal(2)
  @RequireFresh(minutes(5))
  @Delete()
  remove() {
    return {};
  }

  @RequireRole('admin')
  @RequireFresh(minutes(5))
  @Get('role')
  role() {
    return {};
  }

  @Get('rotate')
  async rotate(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object) {
    return { rotated: await this.http.rotate(req, res) };
  }

  @Get('data')
  data(@CurrentSession() { data }: Session) {
    return data;
  }
}

/** What is required wins over what a handler says, so that a slip does not open it. */
@RequireFresh(hours(1))
@Controller('admin')
class AdminController extends OpenHandlers {
  @RequireFresh(minutes(5))
  @Get()
  home() {
    return {};
  }

  @Get('hour')
  hour() {
    return {};
  }
}

@Controller('staff')
class StaffController extends AdminController {}

const controllers = [VaultController, AdminController, StaffController];
const FLOWS = { flows: { stepUp: {}, passwordChange: {} } } as const;
const WRONG = 'a wrong password';

describe.each(PLATFORMS)('step-up on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    controllers,
    auth: { loginPage: '/login', session: { ttl: days(30), extendBelow: days(29) }, ...FLOWS },
  });
  const heard = eventsHeard(t);
  let ada: AuthUser;
  beforeEach(async () => {
    t.clock.advance(days(1));
    ada = await createUser(t.app);
    heard.length = 0;
  });

  const get = (cookie: string, path: string) => request(t.url).get(path).set('Cookie', cookie);
  const stepUp = (cookie: string, password = PASSWORD) =>
    request(t.url).post('/auth/step-up').set('Cookie', cookie).send({ method: 'password', password });
  const signIn = (proofs: string[] = ['password'], age = 0) =>
    signInAs(t.app, ada.id, { proofs, authenticatedAt: t.clock.now() - age });
  const stepUps = () => heard.filter(({ type }) => type.startsWith('step_up.'));

  it('the session and the list of sessions say how and when its user proved who they are', async () => {
    const cookie = await signIn(['password', 'totp'], minutes(7));
    const authenticatedAt = new Date(t.clock.now() - minutes(7)).toISOString();
    const proof = { aal: 2, amr: ['password', 'totp'], authenticatedAt };
    expect((await get(cookie, '/auth/session').expect(200)).body.session).toMatchObject(proof);
    expect((await get(cookie, '/auth/sessions').expect(200)).body).toEqual([expect.objectContaining(proof)]);
    expect((await get(cookie, '/auth/step-up').expect(200)).body).toEqual({ ...proof, methods: ['password'] });
    await request(t.url).get('/auth/step-up').expect(401);
  });

  it('a login by password is one factor', async () => {
    const login = await request(t.url).post('/auth/login').send({ email: ada.email, password: PASSWORD }).expect(200);
    const { body } = await get(cookieOf(login), '/auth/session').expect(200);
    expect(body.session).toMatchObject({ aal: 1, amr: ['password'] });
  });

  it('makes the session fresh: a new token, the same handle and data, its own proofs and full lifetimes', async () => {
    const cookie = await signIn(['oidc'], minutes(20));
    const before = (await get(cookie, '/auth/session').expect(200)).body.session;
    const { session } = (await t.app.get(SessionService).lookup(cookie.slice(cookie.indexOf('=') + 1)))!;
    await t.app.get(SessionService).updateData(session, { tenant: 'acme' });
    await get(cookie, '/vault/fresh').expect(401);
    const answer = await stepUp(cookie).expect(200);
    const now = new Date(t.clock.now()).toISOString();
    const expiresAt = new Date(t.clock.now() + days(30)).toISOString();
    expect(answer.body).toEqual({ aal: 1, amr: ['oidc', 'password'], authenticatedAt: now, expiresAt });
    expect(answer.get('Cache-Control')).toBe('no-store');
    const elevated = cookieOf(answer);
    expect(elevated).not.toBe(cookie);
    await get(elevated, '/vault/fresh').expect(200, { id: ada.id });
    await get(elevated, '/vault/data').expect(200, { tenant: 'acme' });
    const after = (await get(elevated, '/auth/session').expect(200)).body.session;
    expect(after).toMatchObject({ handle: before.handle, authenticatedAt: now, expiresAt });
    expect(Date.parse(after.absoluteExpiresAt)).toBe(t.clock.now() + days(90));
    expect((await get(elevated, '/auth/sessions').expect(200)).body).toHaveLength(1);
    const of = { userId: ada.id, handle: before.handle, ip: '127.0.0.1', factors: ['password'] };
    expect(stepUps()).toEqual([{ type: 'step_up.succeeded', at: t.clock.now(), ...of, aal: 1 }]);
  });

  it('adds to what the session has proved: with a password, a second factor counts as one', async () => {
    const cookie = await signIn(['totp']);
    expect((await get(cookie, '/vault/aal').expect(401)).body.methods).toEqual(['password']);
    const answer = await stepUp(cookie).expect(200);
    expect(answer.body).toMatchObject({ aal: 2, amr: ['totp', 'password'] });
    await get(cookieOf(answer), '/vault/aal').expect(200);
  });

  it('a bearer token gets its successor in the body, and no cookie', async () => {
    const { token } = await t.app.get(SessionService).create(ada.id, { authenticatedAt: t.clock.now() - hours(1) });
    const bearer = (value: string, path: string) => request(t.url).get(path).set('Authorization', `Bearer ${value}`);
    await bearer(token, '/vault/fresh').expect(401);
    const { body, headers } = await request(t.url)
      .post('/auth/step-up')
      .set('Authorization', `Bearer ${token}`)
      .send({ method: 'password', password: PASSWORD })
      .expect(200);
    expect(headers['set-cookie']).toBeUndefined();
    await bearer(token, '/vault').expect(401);
    await bearer(body.token as string, '/vault/fresh').expect(200);
  });

  it('F57: assurance is of the proofs of a session, and not of what the account has by now', async () => {
    const [a, b] = [await signIn(), await signIn()];
    const { session } = (await t.app.get(SessionService).lookup(a.slice(a.indexOf('=') + 1)))!;
    const { credential } = (await t.app.get(LoginService).elevate(ada, session, ['totp']))!;
    await get(`${a.slice(0, a.indexOf('='))}=${credential.value}`, '/vault/aal').expect(200);
    await get(b, '/vault/aal').expect(401);
    expect((await get(b, '/auth/session').expect(200)).body.session).toMatchObject({ aal: 1, amr: ['password'] });
  });

  it('F57: no session is opened with a proof whose name is not valid', async () => {
    const logins = t.app.get(LoginService);
    const known = await t.app.get(SessionService).listForUser(ada.id);
    for (const proofs of [['not a name'], ['']]) {
      await expect(logins.begin(ada, proofs)).rejects.toThrow(TypeError);
      await expect(logins.renew(ada, { proofs })).rejects.toThrow(TypeError);
    }
    expect(await t.app.get(SessionService).listForUser(ada.id)).toEqual(known);
  });

  it('F82: only a proof makes a session fresh, up to the exact instant: not its use, extension or rotation', async () => {
    let cookie = await signIn();
    t.clock.advance(minutes(5) - 0.001);
    await get(cookie, '/vault/fresh').expect(200);
    t.clock.advance(0.001);
    await get(cookie, '/vault/fresh').expect(401);
    await get(cookie, '/vault').expect(200);
    await get(cookie, '/vault/fresh').expect(401);
    t.clock.advance(days(2));
    const extended = await get(cookie, '/vault').expect(200);
    expect(cookieOf(extended)).toBe(cookie);
    await get(cookie, '/vault/fresh').expect(401);
    cookie = cookieOf(await get(cookie, '/vault/rotate').expect(200, { rotated: true }));
    await get(cookie, '/vault/fresh').expect(401);
    cookie = cookieOf(await stepUp(cookie).expect(200));
    await get(cookie, '/vault/fresh').expect(200);
  });

  it('F82: without a duration it is flows.freshness, 15 minutes', async () => {
    const [at, before] = [await signIn(['password'], minutes(15)), await signIn(['password'], minutes(15) - 0.001)];
    await get(before, '/vault/default').expect(200);
    expect((await get(at, '/vault/default').expect(401)).body.required).toEqual({ maxAge: 900 });
  });

  it('F83: the proof of another user is refused, and the session stays as it was', async () => {
    const other = 'the passphrase of somebody else';
    await t.app.get(PostgresUserDirectory).create(`bob-${ada.id}@example.com`, other);
    const cookie = await signIn(['password'], hours(1));
    const before = (await get(cookie, '/auth/session').expect(200)).body.session;
    const refused = await stepUp(cookie, other).expect(401);
    expect(refused.body).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(refused.get('Set-Cookie')).toBeUndefined();
    expect((await get(cookie, '/auth/session').expect(200)).body.session).toEqual(before);
    await get(cookie, '/vault/fresh').expect(401);
    const of = { userId: ada.id, handle: before.handle, ip: '127.0.0.1', factors: ['password'] };
    expect(stepUps()).toEqual([{ type: 'step_up.refused', at: t.clock.now(), ...of, reason: 'INVALID_CREDENTIALS' }]);

    const bob = await createUser(t.app);
    const { session } = (await t.app.get(SessionService).lookup(cookie.slice(cookie.indexOf('=') + 1)))!;
    const elevation = t.app.get(LoginService).elevate(bob, session, ['passkey']);
    await expect(elevation).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' });
    await get(cookie, '/vault').expect(200);
  });

  it('F84: the old token is refused at once and leads nowhere; quietly within the grace, and as stolen after it', async () => {
    const old = await signIn();
    const elevated = cookieOf(await stepUp(old).expect(200));
    t.clock.advance(1);
    const reuses = await reusesDuring(t.app, async () => {
      const refused = await get(old, '/vault').expect(401);
      expect(refused.get('Set-Cookie')).toBeUndefined();
      t.clock.advance(seconds(30) - 1.001);
      await get(old, '/vault').expect(401);
    });
    expect(reuses).toEqual([]);
    await get(elevated, '/vault').expect(200);
    t.clock.advance(0.001);
    const alarms = await reusesDuring(t.app, () => get(old, '/vault').expect(401).then());
    expect(alarms).toEqual([expect.objectContaining({ type: 'session.reuse_detected', userId: ada.id })]);
    await get(elevated, '/vault').expect(401);
  });

  it('F84: a cookie that was rotated before is refused too, and does not lead into the elevated session', async () => {
    const first = await signIn();
    const second = cookieOf(await get(first, '/vault/rotate').expect(200));
    const third = cookieOf(await stepUp(second).expect(200));
    for (const cookie of [first, second]) await get(cookie, '/vault').expect(401);
    await get(third, '/vault').expect(200);
  });

  it('F84: of 50 at once for one session exactly one succeeds, and the others clear no cookie', async () => {
    const cookie = await signIn();
    // All of them past the guard and its limit.
    const answers = await elevateAtOnce(cookie, 50);
    const won = answers.filter((value) => value !== null);
    expect(won).toHaveLength(1);
    await get(cookie, '/vault').expect(401);
    await get(`${cookie.slice(0, cookie.indexOf('='))}=${won[0]!.credential.value}`, '/vault/fresh').expect(200);
    expect(await t.app.get(SessionService).listForUser(ada.id)).toHaveLength(1);

    const again = await signIn();
    const both = await Promise.all([stepUp(again), stepUp(again), stepUp(again)]);
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 401, 401]);
    for (const answer of both) {
      if (answer.status === 401) expect(answer.get('Set-Cookie')).toBeUndefined();
    }
  });

  async function elevateAtOnce(cookie: string, times: number) {
    const { session } = (await t.app.get(SessionService).lookup(cookie.slice(cookie.indexOf('=') + 1)))!;
    const logins = t.app.get(LoginService);
    return Promise.all(Array.from({ length: times }, () => logins.elevate(ada, session, ['password'])));
  }

  it('F84: a logout at the same time is not lost, whichever is first', async () => {
    for (let i = 0; i < 10; i++) {
      const cookie = await signIn();
      const both = [
        () => stepUp(cookie).then((answer) => answer),
        () => request(t.url).post('/auth/logout').set('Cookie', cookie).expect(200),
      ];
      await Promise.all((i % 2 ? both : both.toReversed()).map((call) => call()));
      expect(await t.app.get(SessionService).listForUser(ada.id)).toEqual([]);
    }
  });

  it('F84: a session that a cutoff has ended is not revived by a proof whose account is read after it', async () => {
    const cookie = await signIn();
    const { session } = (await t.app.get(SessionService).lookup(cookie.slice(cookie.indexOf('=') + 1)))!;
    t.clock.advance(1);
    // As another program does it, which knows no sessions.
    await t.db.query('UPDATE users SET tokens_invalidated_after = to_timestamp($2) WHERE id = $1', [
      ada.id,
      t.clock.now() / 1000,
    ]);
    t.clock.advance(1);
    const user = (await t.app.get(PostgresUserDirectory).findById(ada.id))!;
    expect(await t.app.get(LoginService).elevate(user, session, ['totp'])).toBeNull();
    expect(await t.app.get(SessionService).listForUser(ada.id)).toEqual([]);
    // Negative control: a login after it can be elevated.
    const later = await signIn();
    const live = (await t.app.get(SessionService).lookup(later.slice(later.indexOf('=') + 1)))!;
    expect(await t.app.get(LoginService).elevate(user, live.session, ['totp'])).not.toBeNull();
  });

  it.each<[string, (session: Session) => Promise<unknown>]>([
    ['was revoked', ({ id }) => t.app.get(SessionService).revoke(id)],
    [
      'was signed out everywhere',
      ({ userId }) => t.app.get(PostgresUserDirectory).invalidateTokens(userId, t.clock.now()),
    ],
    ['has a disabled account', ({ userId }) => t.app.get(PostgresUserDirectory).disable(userId)],
    ['was rotated', (session) => t.app.get(SessionService).rotate(session, session.userId, { grace: false })],
  ])('a session that %s while its password is compared is not elevated', async (_, meanwhile) => {
    const cookie = await signIn();
    const { session } = (await t.app.get(SessionService).lookup(cookie.slice(cookie.indexOf('=') + 1)))!;
    const users = t.app.get(PostgresUserDirectory);
    const verify = users.verifyCredentials.bind(users);
    const spy = jest.spyOn(users, 'verifyCredentials').mockImplementationOnce(async (...credentials) => {
      const found = await verify(...credentials);
      await meanwhile(session);
      t.clock.advance(1);
      return found;
    });
    const refused = await stepUp(cookie).expect(401);
    expect(refused.get('Set-Cookie')).toBeUndefined();
    expect(spy).toHaveBeenCalledTimes(1);
    spy.mockRestore();
    await get(cookie, '/vault').expect(401);
    expect(stepUps()).toMatchObject([{ type: 'step_up.refused' }]);
  });

  it('F12: wrong passwords of step-up and change of password are counted together; right step-ups are not', async () => {
    let cookie = await signIn();
    for (let i = 0; i < 7; i++) cookie = cookieOf(await stepUp(cookie).expect(200));
    const change = (currentPassword: string) =>
      request(t.url)
        .post('/auth/change-password')
        .set('Cookie', cookie)
        .send({ currentPassword, newPassword: 'an entirely different passphrase' });
    for (let i = 0; i < 5; i++) await (i % 2 ? change(WRONG) : stepUp(cookie, WRONG)).expect(401);
    const refused = await stepUp(cookie).expect(429);
    expect(Number(refused.get('Retry-After'))).toBeGreaterThan(0);
    await change(PASSWORD).expect(429);
    await get(cookie, '/vault').expect(200);
    t.clock.advance(minutes(15));
    await stepUp(cookie).expect(200);
  });

  it('F39: a changed password is a proof: the session that is kept is fresh, and keeps those it had', async () => {
    const cookie = await signIn(['password', 'totp'], hours(1));
    const answer = await request(t.url)
      .post('/auth/change-password')
      .set('Cookie', cookie)
      .send({ currentPassword: PASSWORD, newPassword: 'an entirely different passphrase' })
      .expect(200);
    const kept = (await get(cookieOf(answer), '/auth/session').expect(200)).body.session;
    const authenticatedAt = new Date(t.clock.now()).toISOString();
    expect(kept).toMatchObject({ aal: 2, amr: ['password', 'totp'], authenticatedAt });
    await request(t.url).delete('/vault').set('Cookie', cookieOf(answer)).expect(200);
  });

  it('F85: an account without a password cannot step up by one, and is not asked to', async () => {
    await t.db.query("UPDATE users SET password_hash = '!' WHERE id = $1", [ada.id]);
    const cookie = await signIn(['oidc'], hours(1));
    expect((await get(cookie, '/auth/step-up').expect(200)).body).toMatchObject({ amr: ['oidc'], methods: [] });
    expect((await get(cookie, '/vault/fresh').expect(401)).body.methods).toEqual([]);
    for (const password of ['!', WRONG]) await stepUp(cookie, password).expect(401);
    await get(cookie, '/vault/fresh').expect(401);
  });

  it('F54: a second step by mail or provider counts for one factor only', async () => {
    for (const proofs of [['password', 'email-code'], ['oidc'], ['magic-link'], ['saml', 'sms']]) {
      await get(await signIn(proofs), '/vault/aal').expect(401);
    }
    for (const proofs of [['passkey'], ['password', 'backup-code'], ['password', 'passkey-presence']]) {
      await get(await signIn(proofs), '/vault/aal').expect(200);
    }
  });

  describe('F86: the refusal', () => {
    const challengeOf = (answer: Response) => challengeIn(answer.get('WWW-Authenticate')!);
    const challenge = (parameters: object) => ({
      scheme: 'Bearer',
      parameters: {
        error: 'insufficient_user_authentication',
        error_description: 'Confirm that it is you.',
        ...parameters,
      },
    });

    it('F86: says what is lacking and nothing else, in the header of RFC 9470 and in the body', async () => {
      const cookie = await signIn(['password'], hours(1));
      const body = { statusCode: 401, code: 'STEP_UP_REQUIRED', message: 'Confirm that it is you.' };
      const fresh = await get(cookie, '/vault/fresh').expect(401);
      expect(fresh.body).toEqual({ ...body, required: { maxAge: 300 }, methods: ['password'] });
      expect(challengeOf(fresh)).toEqual(challenge({ max_age: '300' }));
      const aal = await get(cookie, '/vault/aal').expect(401);
      expect(aal.body).toEqual({ ...body, required: { aal: 2 }, methods: [] });
      expect(challengeOf(aal)).toEqual(challenge({ acr_values: 'urn:latchkey:aal:2' }));
      const both = await request(t.url).delete('/vault').set('Cookie', cookie).expect(401);
      expect(both.body).toEqual({ ...body, required: { aal: 2, maxAge: 300 }, methods: [] });
      expect(challengeOf(both)).toEqual(challenge({ acr_values: 'urn:latchkey:aal:2', max_age: '300' }));
      const recent = await request(t.url)
        .delete('/vault')
        .set('Cookie', await signIn());
      expect(recent.body).toMatchObject({ required: { aal: 2 }, methods: [] });
      const amr = await get(cookie, '/vault/amr').expect(401);
      expect(amr.body).toEqual({ ...body, required: { amr: ['passkey', 'totp'] }, methods: [] });
      expect(challengeOf(amr)).toEqual(challenge({}));
      const password = await get(await signIn(['oidc']), '/vault/password').expect(401);
      expect(password.body).toMatchObject({ required: { amr: ['password'] }, methods: ['password'] });
    });

    it.each([
      ['a browser', { Accept: 'text/html,application/xhtml+xml' }],
      ['fetch', { Accept: '*/*' }],
      ['htmx', { 'HX-Request': 'true', Accept: '*/*' }],
    ])('F86: %s is not logged out by it, nor sent to the login page', async (_, headers) => {
      const cookie = await signIn(['password'], hours(1));
      const refused = await get(cookie, '/vault/fresh').set(headers).expect(401);
      expect(refused.body).toMatchObject({ code: 'STEP_UP_REQUIRED' });
      for (const name of ['Set-Cookie', 'Location', 'HX-Redirect', 'Clear-Site-Data']) {
        expect(refused.get(name)).toBeUndefined();
      }
      await get(cookie, '/vault').expect(200);
    });

    it('whoever is not logged in at all is asked to log in, and whoever may not is not asked to prove it', async () => {
      const { body, headers } = await request(t.url).get('/vault/fresh').expect(401);
      expect([body.code, headers['www-authenticate']]).toEqual(['UNAUTHENTICATED', 'Bearer']);
      const cookie = await signIn(['password'], hours(1));
      await get(cookie, '/vault/role').expect(403);
      await t.app.get(PostgresUserDirectory).setRoles(ada.id, ['admin']);
      await get(cookie, '/vault/role').expect(401);
    });
  });

  it('decorators of handler, class and base class must all be satisfied, and @Public() does not open it', async () => {
    const [stale, older] = [await signIn(['password'], minutes(5)), await signIn(['password'], hours(1))];
    for (const path of ['/admin', '/staff']) {
      expect((await get(stale, path).expect(401)).body.required).toEqual({ maxAge: 300 });
      expect((await get(older, path).expect(401)).body.required).toEqual({ maxAge: 300 });
      for (const rest of ['/hour', '/public', '/optional']) {
        await get(stale, path + rest).expect(200);
        expect((await get(older, path + rest).expect(401)).body.required).toEqual({ maxAge: 3600 });
        await request(t.url)
          .get(path + rest)
          .expect(401);
      }
    }
  });

  it('takes a closed body, and from its own pages only', async () => {
    const cookie = await signIn();
    const post = (body: object) => request(t.url).post('/auth/step-up').set('Cookie', cookie).send(body);
    expect((await post({ method: 'totp', password: PASSWORD }).expect(422)).body.fields).toEqual({
      code: 'must be a string of 1 to 256 characters',
      password: 'is not a field here',
    });
    const refused = await post({ method: 'totp', code: '123456' }).expect(401);
    expect(refused.body.code).toBe('SECOND_FACTOR_REFUSED');
    for (const more of [{ aal: 2 }, { amr: ['passkey'] }, { userId: ada.id }]) {
      const { body } = await post({ method: 'password', password: PASSWORD, ...more }).expect(422);
      expect(body.fields).toEqual({ [Object.keys(more)[0]!]: 'is not a field here' });
    }
    await stepUp(cookie).set('Sec-Fetch-Site', 'cross-site').expect(403);
    await get(cookie, '/vault').expect(200);
  });

  if (VARIANT === 'plain') {
    it('an ordinary route and one that is satisfied cost one query, a refusal one more', async () => {
      const cookie = await signIn();
      const costOf = async (path: string, status: number) => {
        await get(cookie, path).expect(status);
        t.queries.reset();
        await get(cookie, path).expect(status);
        return t.queries.statements.length;
      };
      expect([await costOf('/vault', 200), await costOf('/vault/fresh', 200)]).toEqual([1, 1]);
      t.clock.advance(minutes(5));
      expect(await costOf('/vault/fresh', 401)).toBe(2);
    });
  }
});

describe('step-up by decorators', () => {
  it('takes only what can be required', () => {
    for (const within of [0, -1, 5, 999, Number.NaN, Infinity, '300' as unknown as number]) {
      expect(() => RequireFresh(within as never)).toThrow(TypeError);
    }
    for (const aal of [0, 1, 3, undefined]) expect(() => RequireAal(aal as 2)).toThrow(TypeError);
    expect(() => (RequireAmr as () => unknown)()).toThrow(TypeError);
  });

  it('without the flow there is no route, no method, and the refusal all the same', async () => {
    const t = await startTestApp({ controllers });
    const { id } = await createUser(t.app);
    const cookie = await signInAs(t.app, id, { authenticatedAt: t.clock.now() - hours(1) });
    await request(t.url).get('/auth/step-up').set('Cookie', cookie).expect(404);
    const { body } = await request(t.url).get('/vault/fresh').set('Cookie', cookie).expect(401);
    expect(body).toMatchObject({ code: 'STEP_UP_REQUIRED', methods: [] });
    await t.close();
  });

  it('a signed cookie can be fresh by its login, and has never two factors', async () => {
    const t = await startTestApp({ controllers, auth: { session: { scheme: 'signed-cookie' } } });
    const { id } = await createUser(t.app);
    const cookie = await signInAs(t.app, id, { proofs: ['password', 'totp'] });
    const get = (path: string) => request(t.url).get(path).set('Cookie', cookie);
    await get('/vault/fresh').expect(200);
    await get('/vault/aal').expect(401);
    expect((await get('/auth/session').expect(200)).body.session).toMatchObject({ aal: 1, amr: [] });
    t.clock.advance(minutes(5));
    await get('/vault/fresh').expect(401);
    const current = { id: 'x', handle: 'x', userId: id, amr: [], aal: 1 } as unknown as Session;
    const user = (await t.app.get(PostgresUserDirectory).findById(id))!;
    const elevation = t.app.get(LoginService).elevate(user, current, ['password']);
    await expect(elevation).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
    await t.close();
  });
});

describe.each([
  [false, PLATFORMS[0]],
  [true, PLATFORMS.at(-1)!],
] as const)('step-up with a JWT, registry: %s, on %s', (registry, platform) => {
  const t = sharedTestApp({ platform, controllers, auth: { jwt: { sessions: true, registry }, ...FLOWS } });
  let ada: AuthUser;
  beforeEach(async () => {
    t.clock.advance(hours(1));
    ada = await createUser(t.app);
  });

  const get = (token: string, path: string) => request(t.url).get(path).set('Authorization', `Bearer ${token}`);
  const stepUp = (token: string) =>
    request(t.url)
      .post('/auth/step-up')
      .set('Authorization', `Bearer ${token}`)
      .send({ method: 'password', password: PASSWORD });
  const issue = async (proofs: string[] = ['password'], age = 0) => {
    const context = { transport: 'bearer', authenticatedAt: t.clock.now() - age } as const;
    const login = await t.app.get(LoginService).begin(ada, proofs, context);
    if (login.status !== 'authenticated') throw new Error('Another factor is due.');
    return login.credential.value;
  };
  const sessionOf = async (token: string) => (await get(token, '/auth/session').expect(200)).body.session as Session;

  it('carries the proofs in the names of RFC 8176, and knows them again', async () => {
    const proofs = ['password', 'totp', 'email-code', 'backup-code'];
    const token = await issue(proofs);
    expect(t.app.get(JwtCodecService).decode(token).claims).toEqual({
      amr: ['pwd', 'otp', 'mca', 'backup-code'],
      aal: 2,
    });
    expect(await sessionOf(token)).toMatchObject({ aal: 2, amr: proofs });
    await get(token, '/vault/aal').expect(200);
    expect(await sessionOf(await issue(['passkey']))).toMatchObject({ aal: 2, amr: ['passkey'] });
    if (registry) {
      const { body } = await get(token, '/auth/sessions').expect(200);
      expect(body).toContainEqual(expect.objectContaining({ kind: 'jwt', aal: 2, amr: proofs }));
    }
  });

  it.each<[string, Record<string, unknown>]>([
    ['none', {}],
    ['others', { aal: '2', amr: 'passkey' }],
    ['foreign', { acr: 'urn:latchkey:aal:2', amr: [1, {}, null], aal: true }],
    ['too many', { amr: Array.from({ length: 17 }, () => 'pwd') }],
  ])('a token of another program with %s of our claims has one factor and no method', async (_, claims) => {
    const { token } = t.app.get(JwtCodecService).encode(ada.id, { claims });
    expect(await sessionOf(token)).toMatchObject({ aal: 1, amr: [] });
    await get(token, '/vault/aal').expect(401);
  });

  it('F82: a JWT is as fresh as its issue, unless auth_time says that the proof was earlier', async () => {
    const codec = t.app.get(JwtCodecService);
    const at = (seconds: number) => ({ auth_time: t.clock.now() / 1000 + seconds });
    for (const [claims, status] of [
      [{}, 200],
      [at(-299), 200],
      [at(-300), 401],
      [at(3600), 200],
      [{ auth_time: 'now' }, 200],
    ] as const) {
      await get(codec.encode(ada.id, { claims }).token, '/vault/fresh').expect(status);
    }
    const late = codec.encode(ada.id, { claims: at(3600) }).token;
    t.clock.advance(minutes(5));
    await get(late, '/vault/fresh').expect(401);
    // A login whose proof is long ago says so itself.
    await get(await issue(['password'], minutes(5)), '/vault/fresh').expect(401);
    await get(await issue(['password'], minutes(4)), '/vault/fresh').expect(200);
  });

  it('F84: a new JWT takes its place, with its proofs; the old one is revoked, and of 10 at once one wins', async () => {
    const old = await issue(['totp'], minutes(10));
    const { body } = await stepUp(old).expect(200);
    expect(body).toMatchObject({ aal: 2, amr: ['totp', 'password'], token: expect.any(String) });
    expect((await get(old, '/vault').expect(401)).body.code).toBe('TOKEN_REVOKED');
    await get(body.token, '/vault/fresh').expect(200);
    await get(body.token, '/vault/aal').expect(200);
    if (registry) expect((await get(body.token, '/auth/sessions').expect(200)).body).toHaveLength(1);

    const { session } = (await request(t.url).get('/auth/session').set('Authorization', `Bearer ${body.token}`)).body;
    const { payload } = { payload: t.app.get(JwtCodecService).decode(body.token as string) };
    const current = { ...session, id: payload.jti, userId: ada.id, expiresAt: payload.exp } as Session;
    const user = (await t.app.get(PostgresUserDirectory).findById(ada.id))!;
    const elevations = Array.from({ length: 10 }, () =>
      t.app.get(LoginService).elevate(user, current, ['password'], { transport: 'bearer' }),
    );
    expect((await Promise.all(elevations)).filter((one) => one !== null)).toHaveLength(1);
    await get(body.token, '/vault').expect(401);
  });

  it('F84: a JWT that a cutoff has ended is not revived by a proof whose account is read after it', async () => {
    const { jti, iat, exp } = t.app.get(JwtCodecService).decode(await issue());
    const current = { id: jti, handle: jti, userId: ada.id, createdAt: iat, authenticatedAt: iat, expiresAt: exp };
    t.clock.advance(1);
    await t.app.get(PostgresUserDirectory).invalidateTokens(ada.id, t.clock.now());
    t.clock.advance(1);
    const user = (await t.app.get(PostgresUserDirectory).findById(ada.id))!;
    const session = { ...current, absoluteExpiresAt: exp, aal: 1, amr: ['password'] } as unknown as Session;
    expect(await t.app.get(LoginService).elevate(user, session, ['totp'], { transport: 'bearer' })).toBeNull();
  });

  it('F84: a logout ends the JWT that was sent, and a step-up gives another: log out with that one', async () => {
    const old = await issue();
    const { token } = (await stepUp(old).expect(200)).body as { token: string };
    const logout = (jwt: string) => request(t.url).post('/auth/logout').set('Authorization', `Bearer ${jwt}`);
    await logout(old).expect(200);
    await get(token, '/vault').expect(200);
    await logout(token).expect(200);
    await get(token, '/vault').expect(401);
  });

  it('F84: a JWT that was logged out meanwhile stays so', async () => {
    const token = await issue();
    const users = t.app.get(PostgresUserDirectory);
    const verify = users.verifyCredentials.bind(users);
    const spy = jest.spyOn(users, 'verifyCredentials').mockImplementationOnce(async (...credentials) => {
      const found = await verify(...credentials);
      await request(t.url).post('/auth/logout').set('Authorization', `Bearer ${token}`).expect(200);
      return found;
    });
    expect((await stepUp(token).expect(401)).body.code).toBe('UNAUTHENTICATED');
    spy.mockRestore();
  });
});
