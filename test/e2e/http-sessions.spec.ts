import { Body, Controller, Get, Post, Req, Res } from '@nestjs/common';
import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  AuthError,
  AuthEvents,
  HttpSessions,
  PostgresUserDirectory,
  Public,
  seconds,
  SessionService,
  type AuthEvent,
  type AuthUser,
  type FirstFactor,
  type HttpRequest,
} from 'nestjs-latchkey';
import { BearerSessions } from 'nestjs-latchkey/engine';
import request from 'supertest';
import { createUser, PLATFORMS, startTestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { cookieOf } from '../support/cookies.js';

const EMAIL = 'ada@example.com';

/** A host's own login: a passkey stands for whatever proves who it is. */
@Public()
@Controller('own')
class OwnLoginController {
  constructor(
    private readonly sessions: HttpSessions,
    private readonly users: PostgresUserDirectory,
  ) {}

  @Post('login')
  async logIn(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object, @Body('key') key: string) {
    const login = await this.sessions.start(req, res, { proofs: ['passkey'], verify: () => this.verify(key) });
    return login.status === 'authenticated' ? { id: login.user.id } : login;
  }

  /** The last of several steps. */
  @Post('proved')
  async finish(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object, @Body() firstFactor: FirstFactor) {
    const user = (await this.users.findByLogin(EMAIL))!;
    await this.sessions.start(req, res, { user, proofs: ['password', 'otp'], ...firstFactor });
  }

  @Post('token')
  issue(@Req() req: HttpRequest, @Body('key') key: string) {
    return this.sessions.issueToken(req, { login: EMAIL, proofs: ['passkey'], verify: () => this.verify(key) });
  }

  @Post('rotate')
  async rotate(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object) {
    return { rotated: await this.sessions.rotate(req, res) };
  }

  @Post('elevate')
  async elevate(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object) {
    return { rotated: await this.sessions.rotate(req, res, { grace: false }) };
  }

  @Post('logout')
  async logOut(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object) {
    await this.sessions.end(req, res);
    return { known: await this.sessions.current(req, res) };
  }

  @Get('who')
  async who(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object) {
    const current = await this.sessions.current(req, res);
    return { email: current?.user.email ?? null, transport: current?.transport ?? null };
  }

  private verify(key: string): Promise<AuthUser | null> {
    return key === 'right' ? this.users.findByLogin(EMAIL) : Promise.resolve(null);
  }
}

describe.each(PLATFORMS)('HttpSessions on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    controllers: [OwnLoginController],
    auth: { rateLimits: { policies: { login_ip: { limit: 3 } }, backoff: { base: 0 } } },
  });
  let user: AuthUser;
  let events: AuthEvent[];
  let stopListening: () => void;
  beforeAll(async () => {
    user = await createUser(t.app, EMAIL);
  });
  beforeEach(() => {
    events = [];
    stopListening = t.app.get(AuthEvents).on((event) => void events.push(event));
  });
  afterEach(async () => {
    stopListening();
    await t.app.get(SessionService).revokeAllForUser(user.id);
    await t.app.get(PostgresUserDirectory).enable(user.id);
  });

  const post = (path: string, cookie = '') => request(t.url).post(`/own/${path}`).set('Cookie', cookie);
  const logIn = (cookie = '') => post('login', cookie).send({ key: 'right' }).expect(201);
  const who = async (cookie: string) => (await request(t.url).get('/own/who').set('Cookie', cookie)).body;
  const sessionCount = async () => (await t.app.get(SessionService).listForUser(user.id)).length;
  const told = (type: AuthEvent['type']) => events.filter((event) => event.type === type);

  it('start opens a session, sets the cookie and emits the login', async () => {
    const answer = await logIn();
    expect(answer.body).toEqual({ id: user.id });
    expect(await who(cookieOf(answer))).toEqual({ email: EMAIL, transport: 'cookie' });
    expect(told('login.succeeded')).toMatchObject([{ userId: user.id, login: EMAIL, factors: ['passkey'] }]);
  });

  it('start ends the session of every cookie of ours that came along, of two as of one', async () => {
    const first = cookieOf(await logIn());
    const second = cookieOf(await logIn());
    expect(await sessionCount()).toBe(2);
    const third = cookieOf(await logIn(`${first}; ${second}`));
    expect(await sessionCount()).toBe(1);
    expect(await who(first)).toEqual({ email: null, transport: null });
    expect(await who(second)).toEqual({ email: null, transport: null });
    expect(await who(third)).toMatchObject({ email: EMAIL });
  });

  it('start is behind the limits of the address, and emits what fails', async () => {
    for (let i = 0; i < 3; i++) await post('login').send({ key: 'wrong' }).expect(401);
    const refused = await post('login').send({ key: 'right' }).expect(429);
    expect(refused.body).toMatchObject({ code: 'RATE_LIMITED' });
    expect(refused.get('Set-Cookie')).toBeUndefined();
    expect(told('login.failed')).toMatchObject(
      Array.from({ length: 3 }, () => ({ reason: 'INVALID_CREDENTIALS', login: null, factors: ['passkey'] })),
    );
    expect(told('rate_limit.reached')).toMatchObject([{ event: 'login_ip' }]);
    t.clock.advance(15 * 60_000);
    await logIn();
  });

  it('start refuses a disabled account, whatever the host says', async () => {
    await t.app.get(PostgresUserDirectory).disable(user.id);
    await post('login').send({ key: 'right' }).expect(401);
    expect(await sessionCount()).toBe(0);
    t.clock.advance(15 * 60_000);
  });

  it('H16: start and the cutoff of the first proof: the same one, another one, and one that was forgotten', async () => {
    const users = t.app.get(PostgresUserDirectory);
    const finish = (firstFactor: object) => post('proved').send(firstFactor);
    const firstFactor = async () => {
      const { tokensInvalidatedAfter } = (await users.findById(user.id))!;
      return { authenticatedAt: t.clock.now(), tokensInvalidatedAfter };
    };
    const before = await firstFactor();
    await finish(before).expect(201);
    await users.invalidateTokens(user.id, t.clock.now());
    // Also where the clock of another process has put the cutoff ahead of this one.
    await users.invalidateTokens(user.id, t.clock.now() + 30_000.001);
    await finish(before).expect(401);
    await finish({ ...before, authenticatedAt: t.clock.now() + 60_000 }).expect(401);
    await finish({ authenticatedAt: t.clock.now() }).expect(500);
    await finish({ tokensInvalidatedAfter: null }).expect(500);
    expect(await sessionCount()).toBe(0);
    await finish(await firstFactor()).expect(201);
    expect(await sessionCount()).toBe(1);
  });

  it('issueToken answers a bearer token, and sets no cookie', async () => {
    const answer = await post('token').send({ key: 'right' }).expect(201);
    expect(answer.get('Set-Cookie')).toBeUndefined();
    const bearer = { Authorization: `Bearer ${answer.body.token as string}` };
    const known = await request(t.url).get('/own/who').set(bearer);
    expect(known.body).toEqual({ email: EMAIL, transport: 'bearer' });
    await request(t.url).post('/own/logout').set(bearer).expect(201);
    expect((await request(t.url).get('/own/who').set(bearer)).body.email).toBeNull();
  });

  it('H15: an elevation leaves the old cookie nothing, without an alarm in the grace and with one after it', async () => {
    const old = cookieOf(await logIn());
    const elevated = cookieOf(await post('elevate', old).expect(201));
    t.clock.advance(1);
    for (let i = 0; i < 2; i++) {
      const refused = await request(t.url).get('/own/who').set('Cookie', old);
      expect(refused.body).toEqual({ email: null, transport: null });
      expect(refused.get('Set-Cookie')).toBeUndefined();
    }
    expect((await post('elevate', old).expect(201)).body).toEqual({ rotated: false });
    expect(await who(elevated)).toMatchObject({ email: EMAIL });
    expect(told('session.reuse_detected')).toEqual([]);

    // Any other rotation leads the old cookie to the new session.
    const rotated = cookieOf(await post('rotate', elevated).expect(201));
    expect(await who(elevated)).toMatchObject({ email: EMAIL });
    expect(await who(rotated)).toMatchObject({ email: EMAIL });

    t.clock.advance(seconds(30));
    expect(await who(old)).toEqual({ email: null, transport: null });
    expect(told('session.reuse_detected')).toHaveLength(1);
    expect(await who(rotated)).toEqual({ email: null, transport: null });
  });

  it('H15: of ten elevations at once one gets the new session', async () => {
    const old = cookieOf(await logIn());
    const answers = await Promise.all(Array.from({ length: 10 }, () => post('elevate', old)));
    expect(answers.filter(({ body }) => (body as { rotated: boolean }).rotated)).toHaveLength(1);
    expect(await sessionCount()).toBe(1);
    expect(told('session.reuse_detected')).toEqual([]);
  });

  it('rotate puts a new token in the place of the old one, and does nothing for what is no session', async () => {
    const cookie = cookieOf(await logIn());
    const answer = await post('rotate', cookie).expect(201);
    expect(answer.body).toEqual({ rotated: true });
    expect(cookieOf(answer)).not.toBe(cookie);
    expect(await sessionCount()).toBe(1);
    expect(await who(cookieOf(answer))).toMatchObject({ email: EMAIL });

    const nobody = await post('rotate', `${cookie.slice(0, -3)}AAA`).expect(201);
    expect(nobody.body).toEqual({ rotated: false });
    expect(nobody.get('Set-Cookie')).toBeUndefined();
  });

  it('end emits the logout of the cookie also where the bearer token then fails, and keeps the cookie', async () => {
    const cookie = cookieOf(await logIn());
    const away = new AuthError('STORE_UNAVAILABLE', 'The store is away.', { part: 'session' });
    const revoke = jest.spyOn(t.app.get(BearerSessions), 'revoke').mockRejectedValueOnce(away);
    const answer = await post('logout', cookie).set('Authorization', 'Bearer abc').expect(503);
    revoke.mockRestore();
    expect(answer.get('Set-Cookie')).toBeUndefined();
    expect(told('logout')).toHaveLength(1);
  });

  it('end revokes, clears the cookie, emits, and is idempotent', async () => {
    const cookie = cookieOf(await logIn());
    const answer = await post('logout', cookie).expect(201);
    expect(answer.body).toEqual({ known: null });
    expect(answer.get('Set-Cookie')).toEqual([expect.stringMatching(/^__Host-session=; Max-Age=0/)]);
    expect(await who(cookie)).toEqual({ email: null, transport: null });
    expect(told('logout')).toHaveLength(1);
    await post('logout', cookie).expect(201);
    expect(told('logout')).toHaveLength(1);
  });
});

describe('HttpSessions with signed cookies', () => {
  it('rotate gives another cookie for the same login, and the old bytes are refused at once', async () => {
    const t = await startTestApp({ controllers: [OwnLoginController], auth: { session: { scheme: 'signed-cookie' } } });
    try {
      await createUser(t.app, EMAIL);
      const cookie = cookieOf(await request(t.url).post('/own/login').send({ key: 'right' }).expect(201));
      const rotated = await request(t.url).post('/own/rotate').set('Cookie', cookie).expect(201);
      expect(rotated.body).toEqual({ rotated: true });
      const email = async (header: string) =>
        (await request(t.url).get('/own/who').set('Cookie', header)).body.email as string | null;
      expect(await email(cookieOf(rotated))).toBe(EMAIL);
      expect(await email(cookie)).toBeNull();
      expect((await request(t.url).post('/own/rotate').set('Cookie', cookie)).body).toEqual({ rotated: false });
    } finally {
      await t.close();
    }
  });

  it('of 20 rotations at once one gets a cookie: a logout ends everything that came of the login', async () => {
    const t = await startTestApp({ controllers: [OwnLoginController], auth: { session: { scheme: 'signed-cookie' } } });
    try {
      await createUser(t.app, EMAIL);
      const cookie = cookieOf(await request(t.url).post('/own/login').send({ key: 'right' }).expect(201));
      const rotations = await Promise.all(
        Array.from({ length: 20 }, () => request(t.url).post('/own/rotate').set('Cookie', cookie)),
      );
      expect(rotations.filter(({ body }) => body.rotated as boolean)).toHaveLength(1);
      expect(rotations.filter((answer) => answer.get('Set-Cookie'))).toHaveLength(1);
    } finally {
      await t.close();
    }
  });
});
