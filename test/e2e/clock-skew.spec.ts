import { Controller, Get, Post, Req, Res } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Clock,
  CurrentSession,
  HttpSessions,
  JwtCodecService,
  RateLimitService,
  seconds,
  TokenRevocationService,
  type AuthEvent,
  type AuthUser,
  type HttpRequest,
  type Session,
} from 'nestjs-latchkey';
import { CleanupService, LoginBackoff, SessionStore, SignedCookieSession, SystemClock } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { closeAll, createUser, PASSWORD, startTestApp, type TestApp } from '../support/app.js';
import { cookieOf } from '../support/cookies.js';
import { reusesHeard, until } from '../support/heard.js';
import { ageRotations } from '../support/stored.js';

declare module 'nestjs-latchkey' {
  interface RateLimitEvents {
    burst: true;
  }
}

@Controller('admin')
class AdminController {
  constructor(private readonly sessions: HttpSessions) {}

  @Post('enter')
  enter(@Req() request: HttpRequest, @Res({ passthrough: true }) response: object) {
    return this.sessions.rotate(request, response);
  }

  @Get()
  look(@CurrentSession() { id }: Session) {
    return { id };
  }
}

/** The clock of a machine that is wrong by `skew` milliseconds. */
class SkewedClock extends SystemClock {
  constructor(
    private readonly skew: number,
    override readonly isWallClock = true,
  ) {
    super();
  }

  override now(): number {
    return super.now() + this.skew;
  }
}

describe('H34: the grace of a rotation in two processes whose clocks differ by 45 s', () => {
  let rotator: TestApp | undefined;
  let reader: TestApp | undefined;
  let heard: AuthEvent[];
  let cookie: string;

  async function start(skews: { rotates: number; reads: number }, isWallClock = true): Promise<void> {
    const on = (skew: number, url?: string) =>
      startTestApp({
        ...(url === undefined ? {} : { url }),
        controllers: [AdminController],
        auth: { cleanup: { enabled: false, leeway: 0 } },
        override: (builder) => builder.overrideProvider(Clock).useValue(new SkewedClock(skew, isWallClock)),
      });
    rotator = await on(skews.rotates);
    reader = await on(skews.reads, rotator.db.url);
  }

  const stop = () => closeAll(reader, rotator);

  async function logIn(): Promise<void> {
    heard = reusesHeard(reader!.app);
    cookie = await signInAs(rotator!.app, (await createUser(rotator!.app)).id);
  }

  const enter = async () =>
    cookieOf(await request(rotator!.url).post('/admin/enter').set('Cookie', cookie).expect(201));
  const look = (sent: string, at = reader!) => request(at.url).get('/admin').set('Cookie', sent);

  const SKEWS = [
    ['ahead of the database', { rotates: seconds(45), reads: 0 }],
    ['behind the database', { rotates: -seconds(45), reads: 0 }],
    ['right, and that of the reader ahead', { rotates: 0, reads: seconds(45) }],
    ['right, and that of the reader behind', { rotates: 0, reads: -seconds(45) }],
  ] as const;

  describe.each(SKEWS)('where the clock of the rotating process is %s', (_, skews) => {
    beforeAll(() => start(skews));
    beforeEach(logIn);
    afterAll(stop);

    it('H34: in the grace the old cookie is accepted, and answered with the new one', async () => {
      const winner = await enter();
      expect(cookieOf(await look(cookie).expect(200))).toBe(winner);
      await ageRotations(rotator!.db, seconds(20));
      expect(cookieOf(await look(cookie).expect(200))).toBe(winner);
      expect(heard).toEqual([]);
    });

    it('H34: after the grace it is reuse, in the process that did not rotate it too', async () => {
      const winner = await enter();
      await ageRotations(rotator!.db, seconds(31));
      await look(cookie).expect(401);
      await look(winner).expect(401);
      expect(heard).toHaveLength(1);
    });

    it('H34: each process is told on its own clock when the session was rotated', async () => {
      const { id } = (await look(cookie).expect(200)).body as Session;
      await enter();
      for (const { app } of [rotator!, reader!]) {
        const store = app.get(SessionStore);
        await until(async () => (await store.find(id))!.rotated !== null); // with the cache on, once it has heard of it
        const { rotated } = (await store.find(id))!;
        expect(Math.abs(app.get(Clock).now() - rotated!.at)).toBeLessThan(seconds(20));
      }
    });

    it('H34: the cleanup of no process takes away what leads to the new session, before the grace is over', async () => {
      const { id } = (await look(cookie).expect(200)).body as Session;
      const winner = await enter();
      for (const { app } of [rotator!, reader!]) await app.get(CleanupService).runOnce();
      expect(cookieOf(await look(cookie).expect(200))).toBe(winner);
      await ageRotations(rotator!.db, seconds(31));
      await reader!.app.get(CleanupService).runOnce();
      const rows = await rotator!.db.query('SELECT id FROM sessions WHERE id = $1 AND successor IS NOT NULL', [id]);
      expect(rows).toEqual([]);
    });
  });

  describe('where the instants of the two clocks are compared', () => {
    beforeAll(() => start({ rotates: -seconds(45), reads: 0 }, false));
    beforeEach(logIn);
    afterAll(stop);

    it('control: a fresh rotation is taken for reuse', async () => {
      const winner = await enter();
      await look(cookie).expect(401);
      await look(winner).expect(401);
      expect(heard).toHaveLength(1);
    });
  });
});

describe('H34: limits that two processes count whose clocks differ by 45 s', () => {
  let behind: TestApp | undefined;
  let ahead: TestApp | undefined;
  let tests = 0;
  // Of each test its own.
  let ada: string;
  let bob: string;
  let address: string;

  beforeEach(() => {
    tests++;
    [ada, bob, address] = [`ada${tests}`, `bob${tests}`, `192.0.2.${tests}`];
  });

  async function start(isWallClock = true): Promise<void> {
    const on = (skew: number, url?: string) =>
      startTestApp({
        ...(url === undefined ? {} : { url }),
        auth: {
          rateLimits: {
            policies: { burst: { limit: 3, window: seconds(30) } },
            backoff: { base: seconds(20), maxDelay: seconds(30) },
            rememberedBlocks: 0,
          },
        },
        override: (builder) => builder.overrideProvider(Clock).useValue(new SkewedClock(skew, isWallClock)),
      });
    behind = await on(-seconds(45));
    ahead = await on(0, behind.db.url);
  }

  const stop = () => closeAll(ahead, behind);

  const limits = ({ app }: TestApp) => app.get(RateLimitService);
  const backoff = ({ app }: TestApp) => app.get(LoginBackoff);

  describe('on the clock of the database', () => {
    beforeAll(() => start());
    afterAll(stop);

    describe.each([
      ['ahead', () => [ahead!, behind!] as const],
      ['behind', () => [behind!, ahead!] as const],
    ])('where the process that counts first is %s', (_, inOrder) => {
      it('H34: the limit is one for both, and both answer the true wait', async () => {
        const [first, second] = inOrder();
        for (let i = 0; i < 3; i++) expect(await limits(first).consume('burst', ada)).toMatchObject({ allowed: true });
        for (const t of [first, second]) {
          const decision = await limits(t).consume('burst', ada);
          expect(decision).toMatchObject({ allowed: false });
          expect(Math.abs(decision.retryAfter - 25)).toBeLessThan(15);
          expect(Math.abs(decision.resetAt - t.app.get(Clock).now() - seconds(25))).toBeLessThan(seconds(15));
          expect(await limits(t).check('burst', ada)).toMatchObject({ allowed: false, remaining: 0 });
        }
      });

      it('H34: several limits at once', async () => {
        const [first, second] = inOrder();
        const both = [
          { event: 'burst', subject: ada },
          { event: 'burst', subject: bob },
        ] as const;
        for (let i = 0; i < 3; i++) expect(await limits(first).consumeAll(both)).toMatchObject({ allowed: true });
        const { allowed, decisive } = await limits(second).consumeAll(both);
        expect(allowed).toBe(false);
        expect(decisive.why).toBe('limit_reached');
        expect(Math.abs(decisive.retryAfter - 25)).toBeLessThan(15);
      });

      it('H34: what one process has counted it takes back, alone or with others, and the other has room again', async () => {
        const [first, second] = inOrder();
        await limits(first).record('burst', ada);
        const alone = await limits(first).consume('burst', ada);
        const { decisions } = await limits(first).consumeAll([
          { event: 'burst', subject: ada },
          { event: 'burst', subject: bob },
        ]);
        expect(await limits(second).check('burst', ada)).toMatchObject({ allowed: false });
        for (const decision of [alone, ...decisions]) expect(await limits(first).refund(decision)).toBe(true);
        expect(await limits(second).check('burst', ada)).toMatchObject({ allowed: true, remaining: 2 });
        expect(await limits(second).check('burst', bob)).toMatchObject({ allowed: true, remaining: 3 });
      });

      it('H34: the back-off holds in both, and both answer the true wait', async () => {
        const [first, second] = inOrder();
        for (let i = 0; i < 2; i++) await backoff(first).recordFailure(address);
        for (const t of [first, second]) {
          const { allowed, retryAfter } = await backoff(t).check(address);
          expect(allowed).toBe(false);
          expect(Math.abs(retryAfter - 25)).toBeLessThan(15);
        }
      });
    });

    it('H34: a signed cookie of the one ahead is valid in the one behind', async () => {
      const cookies = ahead!.app.get(SignedCookieSession);
      const cookie = cookies.encode(cookies.makeIdentity({ sub: 'alice', providerId: 'basic' }));
      expect(behind!.app.get(SignedCookieSession).decode(cookie)).toMatchObject({ sub: 'alice' });
    });
  });

  describe('where the instants of the two clocks are compared', () => {
    beforeAll(() => start(false));
    afterAll(stop);

    it('control: the one ahead forgets and the one behind locks out', async () => {
      for (let i = 0; i < 3; i++) await limits(behind!).consume('burst', ada);
      expect(await limits(ahead!).consume('burst', ada)).toMatchObject({ allowed: true });
      for (let i = 0; i < 2; i++) await backoff(ahead!).recordFailure(address);
      expect((await backoff(behind!).check(address)).retryAfter).toBeGreaterThan(40);
    });
  });
});

describe('H34: what has been ended stays so in a process whose clock is 45 s behind', () => {
  let behind: TestApp | undefined;
  let ahead: TestApp | undefined;
  let user: AuthUser;

  beforeAll(async () => {
    const on = (skew: number, url?: string) =>
      startTestApp({
        ...(url === undefined ? {} : { url }),
        controllers: [AdminController],
        // Without a memory, since the test waits for no message.
        auth: {
          routes: { path: 'auth' },
          jwt: { sessions: true },
          cleanup: { enabled: false },
          cache: { enabled: false },
        },
        override: (builder) => builder.overrideProvider(Clock).useValue(new SkewedClock(skew)),
      });
    behind = await on(-seconds(45));
    ahead = await on(0, behind.db.url);
  });
  afterAll(() => closeAll(ahead, behind));
  beforeEach(async () => {
    user = await createUser(ahead!.app);
  });

  const statuses = (header: Record<string, string>) =>
    Promise.all([ahead!, behind!].map(async ({ url }) => (await request(url).get('/admin').set(header)).status));
  const endAll = ({ app }: TestApp) => app.get(TokenRevocationService).revokeAllForUser(user.id);

  it('H34: a sign-out everywhere there ends the sessions and the JWT of logins in the process ahead', async () => {
    const session = { Cookie: await signInAs(ahead!.app, user.id) };
    const login = { email: user.email, password: PASSWORD };
    const { body } = await request(ahead!.url).post('/auth/token').send(login).expect(200);
    const bearer = { Authorization: `Bearer ${(body as { token: string }).token}` };
    for (const header of [session, bearer]) expect(await statuses(header)).toEqual([200, 200]);
    await endAll(behind!);
    for (const header of [session, bearer]) expect(await statuses(header)).toEqual([401, 401]);
  });

  it('control: a JWT that the application itself has encoded is compared by its time of issue', async () => {
    const { token } = ahead!.app.get(JwtCodecService).encode(user.id);
    await endAll(behind!);
    expect(await statuses({ Authorization: `Bearer ${token}` })).toEqual([200, 200]);
    await endAll(ahead!);
    expect(await statuses({ Authorization: `Bearer ${token}` })).toEqual([401, 401]);
  });

  it('H34: the cleanup of the process ahead forgets no revoked token that has not expired there', async () => {
    const { payload } = behind!.app.get(JwtCodecService).encode(user.id, { ttl: seconds(30) });
    const [revocations, others] = [behind!, ahead!].map(({ app }) => app.get(TokenRevocationService));
    expect(payload.exp).toBeLessThan(ahead!.app.get(Clock).now());
    expect(await revocations!.revoke(payload.jti, payload.exp)).toBe(true);
    await ahead!.app.get(CleanupService).runOnce();
    expect(await revocations!.isRevoked(payload.jti)).toBe(true);
    expect(await others!.revoke(payload.jti, payload.exp)).toBe(false);
  });
});
