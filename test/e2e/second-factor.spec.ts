import { Body, Controller, Get, Injectable, Post, Req, Res } from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  HttpSessions,
  minutes,
  PostgresUserDirectory,
  Public,
  RateLimitService,
  type AuthUser,
  type HttpRequest,
} from 'nestjs-latchkey';
import { LoginService, SecondFactor } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../support/app.js';
import { eventsHeard, sharedTestApp } from '../support/shared-app.js';
import { SamlController } from '../support/saml.js';

const CODE = '271828';

/** A factor of the application's own; it counts what was right, since each code counts once. */
@Injectable()
class PinFactor extends SecondFactor {
  readonly method: string = 'pin';
  readonly enrolled = new Set<string>();
  readonly requested: string[] = [];
  fails = false;

  override async isEnrolled({ id }: AuthUser): Promise<boolean> {
    if (this.fails) throw new Error('the service of the pins is away');
    return this.enrolled.has(id);
  }

  override async verify(_user: AuthUser, response: string): Promise<boolean> {
    return response === CODE;
  }

  override async request({ id }: AuthUser): Promise<void> {
    this.requested.push(id);
  }
}

@Injectable()
class KeyFactor extends PinFactor {
  override readonly method = 'key';
}

/** A host's own ways in. */
@Controller('own')
class OwnLoginController {
  constructor(
    private readonly sessions: HttpSessions,
    private readonly users: PostgresUserDirectory,
  ) {}

  @Public()
  @Post('saml-token')
  samlToken(@Req() req: HttpRequest, @Body('email') email: string) {
    return this.sessions.issueToken(req, { proofs: ['saml'], verify: () => this.users.findByLogin(email) });
  }

  @Public()
  @Post('verified')
  async verified(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object, @Body('email') email: string) {
    const user = (await this.users.findByLogin(email))!;
    const first = { authenticatedAt: Date.now(), tokensInvalidatedAfter: user.tokensInvalidatedAfter ?? null };
    return this.sessions.start(req, res, { user, proofs: ['magic-link'], ...first });
  }

  @Get('notes')
  notes() {
    return {};
  }
}

const WAYS = ['/auth/login', '/auth/token', '/own/saml', '/own/saml-token', '/own/verified'] as const;

describe.each(PLATFORMS)('the second factor on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    controllers: [SamlController, OwnLoginController],
    auth: {
      secondFactors: [PinFactor, KeyFactor],
      jwt: { sessions: true },
      flows: { stepUp: {}, passwordChange: {}, accountDeletion: {} },
      rateLimits: { backoff: { base: 0 }, policies: { login_ip: { limit: 1_000 } } },
    },
  });
  const heard = eventsHeard(t);
  const pins = () => t.app.get(PinFactor);
  const keys = () => t.app.get(KeyFactor);
  let ada: AuthUser;
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    pins().fails = false;
    ada = await createUser(t.app);
    pins().enrolled.add(ada.id);
    heard.length = 0;
  });

  const post = (path: string, body: object, ...cookies: string[]) =>
    request(t.url).post(path).set('Cookie', cookies).send(body);
  const first = (path: string = '/auth/login') => post(path, { email: ada.email, password: PASSWORD });
  const cookiesOf = (answer: Response) => (answer.get('Set-Cookie') ?? []).map((cookie) => cookie.split(';')[0]!);
  const challengeOf = (answer: Response) => cookiesOf(answer).find((cookie) => cookie.includes('-2fa='))!;
  const pending = async (path?: string) => {
    const answer = await first(path);
    return { token: answer.body.token as string, challenge: path?.includes('token') ? '' : challengeOf(answer) };
  };
  const verify = ({ token, challenge }: { token: string; challenge: string }, code = CODE, method = 'pin') =>
    post('/auth/2fa/verify', { token, method, code }, ...(challenge === '' ? [] : [challenge]));
  const session = (cookie: string) => request(t.url).get('/auth/session').set('Cookie', cookie);

  it.each(WAYS)(
    'F11: by %s an enrolled user gets no session and no token of one before the last factor',
    async (way) => {
      const before = await t.db.query('SELECT count(*) FROM sessions');
      const answer = await first(way);
      expect([200, 201]).toContain(answer.status);
      expect(answer.body).toMatchObject({ status: 'second_factor', methods: ['pin'], token: expect.any(String) });
      expect(Object.keys(answer.body).toSorted()).toEqual(['expiresAt', 'methods', 'status', 'token']);
      expect(cookiesOf(answer).every((cookie) => cookie.includes('-2fa='))).toBe(true);
      expect(await t.db.query('SELECT count(*) FROM sessions')).toEqual(before);
      expect(heard.filter(({ type }) => type === 'login.succeeded')).toEqual([]);
      await request(t.url).get('/own/notes').set('Authorization', `Bearer ${answer.body.token}`).expect(401);
      await request(t.url).get('/own/notes').set('Cookie', cookiesOf(answer)).expect(401);
      // And a user without a second factor does.
      pins().enrolled.delete(ada.id);
      expect((await first(way)).body).toMatchObject({ status: 'authenticated' });
    },
  );

  it('F11: nor by the services themselves', async () => {
    expect(await t.app.get(LoginService).begin(ada, ['password'])).toMatchObject({ status: 'second_factor' });
    await expect(signInAs(t.app, ada.id)).rejects.toThrow(/add 'pin' to proofs/);
    await session(await signInAs(t.app, ada.id, { proofs: ['password', 'pin'] })).expect(200);
  });

  it('the code opens the session that the first step asked for: by cookie', async () => {
    const held = await pending();
    const done = await verify(held).expect(200);
    expect(done.body).toEqual({
      status: 'authenticated',
      user: { id: ada.id, email: ada.email },
      expiresAt: expect.any(String),
    });
    const cookie = cookiesOf(done).find((one) => /session=/.test(one))!;
    expect((await session(cookie).expect(200)).body.session).toMatchObject({ amr: ['password', 'pin'], aal: 1 });
    // The challenge is over.
    expect(done.get('Set-Cookie')!.find((one) => one.includes('-2fa='))).toMatch(/-2fa=;.*Max-Age=0/);
    expect(heard.filter(({ type }) => type === 'login.succeeded')).toEqual([
      expect.objectContaining({ userId: ada.id, factors: ['password', 'pin'] }),
    ]);
    await verify(held).expect(401);
  });

  it('the code opens the session that the first step asked for: by token', async () => {
    const done = await verify(await pending('/auth/token')).expect(200);
    expect(done.get('Set-Cookie')).toBeUndefined();
    expect(done.body).toMatchObject({ status: 'authenticated', tokenType: 'Bearer' });
    await request(t.url).get('/own/notes').set('Authorization', `Bearer ${done.body.token}`).expect(200);
  });

  it('R4: the token is nothing without the cookie of its browser, or with that of another', async () => {
    const [held, other] = [await pending(), await pending()];
    await verify({ token: held.token, challenge: '' }).expect(401);
    await verify({ token: held.token, challenge: other.challenge }).expect(401);
    await verify(held).expect(200);
  });

  it('F23: a pending login can be completed, and nothing else', async () => {
    const { token, challenge } = await pending();
    const asSession = challenge.replace('-2fa=', '=');
    const routes = [
      ['get', '/auth/session'],
      ['get', '/auth/sessions'],
      ['post', '/auth/logout-all'],
      ['delete', '/auth/sessions/0b9d2c6e-0000-4000-8000-000000000000'],
      ['post', '/auth/change-password'],
      ['post', '/auth/step-up'],
      ['get', '/auth/step-up'],
      ['delete', '/auth/account'],
      ['get', '/own/notes'],
    ] as const;
    for (const [method, path] of routes) {
      for (const cookie of [challenge, asSession, `${challenge}; ${asSession}`]) {
        await request(t.url)[method](path).set('Cookie', cookie).send({ token }).expect(401);
      }
      await request(t.url)[method](path).set('Authorization', `Bearer ${token}`).expect(401);
    }
    await verify({ token, challenge }).expect(200);
  });

  it('F12, R9: wrong codes count for the account, over methods, transports and challenges', async () => {
    keys().enrolled.add(ada.id);
    const held = [await pending(), await pending('/auth/token'), await pending()];
    for (let i = 0; i < 5; i++) {
      const refused = await verify(held[i % 3]!, '000000', i % 2 ? 'pin' : 'key').expect(401);
      expect(refused.body.code).toBe('SECOND_FACTOR_REFUSED');
    }
    const limited = await verify(await pending(), CODE).expect(429);
    expect(Number(limited.get('Retry-After'))).toBeGreaterThan(0);
    await verify(held[1]!, CODE, 'key').expect(429);
    // Another account goes on.
    const bob = await createUser(t.app);
    pins().enrolled.add(bob.id);
    const answer = await post('/auth/login', { email: bob.email, password: PASSWORD }).expect(200);
    await verify({ token: answer.body.token, challenge: challengeOf(answer) }).expect(200);
    t.clock.advance(minutes(15));
    await verify(await pending()).expect(200);
  });

  it('F13: success clears the count of the account, and nothing but that', async () => {
    const limits = t.app.get(RateLimitService);
    await limits.consume('mail_ip', '127.0.0.1');
    for (let i = 0; i < 4; i++) await verify(await pending(), '000000').expect(401);
    await verify(await pending()).expect(200);
    for (let i = 0; i < 5; i++) await verify(await pending(), '000000').expect(401);
    await verify(await pending()).expect(429);
    expect((await limits.check('mail_ip', '127.0.0.1')).remaining).toBe(19);
  });

  it('F24: of 30 right answers at once one opens a session', async () => {
    const held = await pending('/auth/token');
    await t.db.query(`DELETE FROM auth_rate_limit_events`);
    const statuses = await Promise.all(Array.from({ length: 30 }, async () => (await verify(held)).status));
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.every((status) => [200, 401, 429].includes(status))).toBe(true);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a new password', () => t.app.get(PostgresUserDirectory).setPassword(ada.id, 'a better passphrase')],
    ['a sign-out everywhere', () => t.app.get(PostgresUserDirectory).invalidateTokens(ada.id, t.clock.now())],
    ['the account is disabled', () => t.app.get(PostgresUserDirectory).disable(ada.id)],
    ['the account is deleted', () => t.app.get(PostgresUserDirectory).delete(ada.id)],
    ['the method is given up', async () => pins().enrolled.delete(ada.id)],
  ])('F25: after %s in between the right code is refused', async (_, meanwhile) => {
    const held = await pending();
    await meanwhile();
    await verify(held).expect(401);
  });

  it('is over after exactly five minutes', async () => {
    const [held, late] = [await pending(), await pending()];
    t.clock.advance(minutes(5) - 1);
    await verify(held).expect(200);
    t.clock.advance(1);
    await verify(late).expect(401);
  });

  it('a factor that the user does not have, or that there is not, is refused', async () => {
    await verify(await pending(), CODE, 'key').expect(401);
    await verify(await pending(), CODE, 'password').expect(401);
  });

  it('the client asks for what the user needs, with the cookie of its browser', async () => {
    const held = await pending();
    const send = (challenge: string, method = 'pin') =>
      post('/auth/2fa/send', { token: held.token, method }, challenge);
    pins().requested.length = 0;
    await send(held.challenge).expect(202);
    await send('x=y').expect(401);
    await send(held.challenge, 'key').expect(401);
    expect(pins().requested).toEqual([ada.id]);
  });

  it('F16: three codes of one user, over challenges, and of one address no more than mail_ip', async () => {
    const send = ({ token, challenge }: { token: string; challenge: string }) =>
      post('/auth/2fa/send', { token, method: 'pin' }, challenge);
    for (let i = 0; i < 3; i++) await send(await pending()).expect(202);
    pins().requested.length = 0;
    await send(await pending()).expect(429);
    expect(pins().requested).toEqual([]);
    await verify(await pending()).expect(200);
  });

  it('F22: a factor that has a fault is 503: nobody is logged in, and nothing is counted or spent', async () => {
    const held = await pending();
    pins().fails = true;
    for (let i = 0; i < 6; i++) await verify(held).expect(503);
    await first().expect(503);
    pins().fails = false;
    await verify(held).expect(200);
  });

  describe('inside a session', () => {
    const open = (proofs = ['password', 'pin']) => signInAs(t.app, ada.id, { proofs });
    const stepUp = (cookie: string, code = CODE, method = 'pin') => post('/auth/step-up', { method, code }, cookie);

    it('confirms who is asking: the session is fresh, and has a new token', async () => {
      const cookie = await open();
      t.clock.advance(minutes(20));
      const { body } = await request(t.url).get('/auth/step-up').set('Cookie', cookie).expect(200);
      expect(body.methods).toEqual(['password', 'pin']);
      const answer = await stepUp(cookie).expect(200);
      expect(answer.body).toMatchObject({ amr: ['password', 'pin'], aal: 1 });
      expect(answer.body.authenticatedAt).toBe(new Date(t.clock.now()).toISOString());
      // F84
      await session(cookie).expect(401);
      await session(cookiesOf(answer)[0]!).expect(200);
    });

    it('F12, F51: wrong codes count together with those of the login', async () => {
      const cookie = await open();
      for (let i = 0; i < 3; i++) {
        expect((await stepUp(cookie, '000000').expect(401)).body.code).toBe('SECOND_FACTOR_REFUSED');
      }
      for (let i = 0; i < 2; i++) await verify(await pending(), '000000').expect(401);
      await stepUp(cookie).expect(429);
      await verify(await pending()).expect(429);
      await session(cookie).expect(200);
    });

    it('F83: a method that the user does not have is refused, and the session goes on', async () => {
      const cookie = await open();
      await stepUp(cookie, CODE, 'key').expect(401);
      await session(cookie).expect(200);
    });

    it('F22: a fault is 503, and nothing is counted', async () => {
      const cookie = await open();
      pins().fails = true;
      for (let i = 0; i < 6; i++) await stepUp(cookie).expect(503);
      pins().fails = false;
      await stepUp(cookie).expect(200);
    });

    it('F16: asks for what the user needs, three times in ten minutes', async () => {
      const cookie = await open();
      const send = (method = 'pin') => post('/auth/step-up/send', { method }, cookie);
      pins().requested.length = 0;
      await send('key').expect(401);
      for (let i = 0; i < 3; i++) await send().expect(202);
      await send().expect(429);
      expect(pins().requested).toEqual([ada.id, ada.id, ada.id]);
    });
  });

  it('F21: closed bodies', async () => {
    const { token, challenge } = await pending();
    const body = { token, method: 'pin', code: CODE };
    for (const extra of [{ userId: '1' }, { roles: ['admin'] }, { transport: 'bearer' }]) {
      const refused = await post('/auth/2fa/verify', { ...body, ...extra }, challenge).expect(422);
      expect(Object.keys(refused.body.fields)).toEqual(Object.keys(extra));
    }
    await post('/auth/2fa/verify', { ...body, code: 7 }, challenge).expect(422);
    // Else the audit could not store the refusal.
    await post('/auth/2fa/verify', { ...body, method: 'pin\u0000' }, challenge).expect(422);
    await post('/auth/2fa/verify', body, challenge).set('Sec-Fetch-Site', 'cross-site').expect(403);
    await post('/auth/2fa/verify', body, challenge).expect(200);
  });

  it('the wish to be remembered, and the session to end, survive the steps', async () => {
    pins().enrolled.delete(ada.id);
    const old = cookiesOf(await first())[0]!;
    await session(old).expect(200);
    pins().enrolled.add(ada.id);
    const answer = await post('/auth/login', { email: ada.email, password: PASSWORD }, old).expect(200);
    await session(old).expect(200);
    await post(
      '/auth/2fa/verify',
      { token: answer.body.token, method: 'pin', code: CODE },
      `${old}; ${challengeOf(answer)}`,
    ).expect(200);
    // R1: the login has ended the session of the cookie that came along.
    await session(old).expect(401);
  });
});

describe('without second factors', () => {
  it('there is no route for them', async () => {
    const t = await startTestApp();
    try {
      await request(t.url).post('/auth/2fa/verify').send({}).expect(404);
    } finally {
      await t.close();
    }
  });
});
