import { Controller, Get, Req, Res } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { days, hours, HttpSessions, minutes, Public, SessionService } from 'nestjs-latchkey';
import { WithoutExtension } from 'nestjs-latchkey/engine';
import type { AuthModuleExtras, AuthOptions, HttpRequest } from 'nestjs-latchkey';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { cookieOf } from '../support/cookies.js';

class Handlers {
  @Get('used')
  used() {
    return {};
  }
}

@Controller()
class PollController extends Handlers {
  constructor(private readonly sessions: HttpSessions) {
    super();
  }

  @WithoutExtension()
  @Get('poll')
  poll() {
    return {};
  }

  @Public()
  @Get('look')
  async look(@Req() request: HttpRequest, @Res({ passthrough: true }) response: object) {
    return { found: (await this.sessions.current(request, response, { extend: false })) !== null };
  }
}

@WithoutExtension()
@Controller('polls')
class PollsController extends Handlers {}

@Controller('sub')
class SubController extends PollsController {}

const POLLS = ['/poll', '/look', '/polls/used', '/auth/session?extend=false', '/auth/session?a=%zz&extend=false'];
const USES = [
  '/used',
  '/sub/used',
  '/auth/session',
  '/auth/session?extend=true',
  '/auth/session?extend=',
  '/used?extend=false',
];

const SCHEMES: [string, 'database' | 'signed-cookie'][] = [
  ['a row', 'database'],
  ['a signed cookie', 'signed-cookie'],
];

describe.each(PLATFORMS)('requests that are no use of the session, on %s', (platform) => {
  describe.each(SCHEMES)('with %s', (_, scheme) => {
    let t: TestApp;
    beforeAll(async () => {
      const auth: Partial<AuthOptions> & AuthModuleExtras = {
        session: {
          scheme,
          ttl: hours(1),
          extendBelow: scheme === 'database' ? minutes(30) : 0,
          absoluteLifetime: days(1),
        },
      };
      t = await startTestApp({ platform, controllers: [PollController, PollsController, SubController], auth });
    });
    afterAll(() => t?.close());

    const login = async () => {
      const { id, email } = await createUser(t.app);
      const answer = await request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(200);
      return { id, cookie: cookieOf(answer) };
    };
    const get = (path: string, cookie: string) => request(t.url).get(path).set('Cookie', cookie);

    it.each(POLLS)('GET %s authenticates and extends nothing, until the session is over', async (path) => {
      const { id, cookie } = await login();
      const before = await t.app.get(SessionService).listForUser(id);
      t.clock.advance(minutes(45));
      const answer = await get(path, cookie).expect(200);
      expect(answer.get('Set-Cookie')).toBeUndefined();
      expect(await t.app.get(SessionService).listForUser(id)).toEqual(before);
      t.clock.advance(minutes(16));
      if (path === '/look') await get(path, cookie).expect(200, { found: false });
      else await get(path, cookie).expect(401);
    });

    it.each(USES)('GET %s is a use (negative control)', async (path) => {
      const { cookie } = await login();
      t.clock.advance(minutes(45));
      expect((await get(path, cookie).expect(200)).get('Set-Cookie')).toHaveLength(1);
    });
  });

  it('a bearer token is not extended either', async () => {
    const t = await startTestApp({
      platform,
      controllers: [PollController],
      auth: { session: { ttl: hours(1), extendBelow: minutes(30) } },
    });
    try {
      const { email, id } = await createUser(t.app);
      const { body } = await request(t.url).post('/auth/token').send({ email, password: PASSWORD }).expect(200);
      const get = (path: string) => request(t.url).get(path).set('Authorization', `Bearer ${body.token}`).expect(200);
      const seen = async () => (await t.app.get(SessionService).listForUser(id))[0]!.lastSeenAt;
      const before = await seen();
      t.clock.advance(minutes(45));
      await get('/poll');
      expect(await seen()).toBe(before);
      await get('/used');
      expect(await seen()).toBe(before + minutes(45));
    } finally {
      await t.close();
    }
  });
});
