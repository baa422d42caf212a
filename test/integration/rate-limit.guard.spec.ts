import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Post } from '@nestjs/common';
import { CurrentUser, minutes, OptionalAuth, Public, RateLimit, seconds, type AuthUser } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';

declare module 'nestjs-latchkey' {
  interface RateLimitEvents {
    read_limited: true;
    share_mail: true;
    door: true;
  }
}

@Controller()
class LimitedController {
  @Public()
  @RateLimit({ event: 'read_limited' })
  @Get('limited')
  limited() {
    return { ok: true };
  }

  @Public()
  @Get('free')
  free() {
    return { ok: true };
  }

  @RateLimit({ event: 'share_mail', by: 'user' })
  @RateLimit({ event: 'read_limited', by: 'ip' })
  @Post('share')
  share(@CurrentUser('email') email: string) {
    return { email };
  }

  @OptionalAuth()
  @RateLimit({ event: 'share_mail', by: 'user' })
  @Get('optional')
  optional() {
    return { ok: true };
  }

  @Public()
  @RateLimit({ event: 'door', by: ({ headers }) => headers['x-door'] as string | undefined })
  @Get('door')
  door() {
    return { ok: true };
  }
}

describe.each(PLATFORMS)('@RateLimit on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    controllers: [LimitedController],
    auth: {
      trustedProxies: ['127.0.0.1'],
      rateLimits: {
        policies: {
          read_limited: { limit: 2, window: minutes(1) },
          share_mail: { limit: 1, window: seconds(30) },
          door: { limit: 1, window: seconds(30) },
        },
      },
    },
  });
  let ada: AuthUser;
  let cookie: string;
  beforeAll(async () => {
    ada = await createUser(t.app, 'ada@example.com');
  });
  beforeEach(async () => {
    t.clock.advance(minutes(60));
    await t.db.query('DELETE FROM auth_rate_limit_events');
    cookie = await signInAs(t.app, ada.id);
  });

  const get = (path: string, client = '203.0.113.1') => request(t.url).get(path).set('X-Forwarded-For', client);

  it('answers with the headers of draft 11, and 429 with the true Retry-After', async () => {
    const first = await get('/limited').expect(200);
    expect(first.headers).toMatchObject({
      'ratelimit-policy': '"read_limited";q=2;w=60',
      ratelimit: '"read_limited";r=1;t=60',
    });
    expect(first.headers['retry-after']).toBeUndefined();
    t.clock.advance(seconds(10));
    await get('/limited').expect(200);
    t.clock.advance(1);
    const refused = await get('/limited').expect(429);
    expect(refused.headers).toMatchObject({
      'ratelimit-policy': '"read_limited";q=2;w=60',
      ratelimit: '"read_limited";r=0;t=50',
      'retry-after': '50',
      'cache-control': 'no-store',
    });
    expect(refused.body).toEqual({
      statusCode: 429,
      code: 'RATE_LIMITED',
      message: 'Too many requests. Try again later.',
    });
    t.clock.advance(seconds(50));
    await get('/limited').expect(200);
  });

  it('R25: is of the client behind the proxy, whatever it writes itself', async () => {
    for (const forged of ['1.1.1.1', '2.2.2.2']) await get('/limited', `${forged}, 203.0.113.1`).expect(200);
    await get('/limited', '3.3.3.3, 203.0.113.1').expect(429);
    await get('/limited', '203.0.113.2').expect(200);
  });

  it('R22: is on the handler, in whatever spelling its path comes', async () => {
    const spellings = ['/limited', '/limited?x=1', '/LIMITED', '/limited/', '//limited', '/%6cimited'];
    const statuses = [];
    for (let round = 0; round < 2; round++) {
      for (const path of spellings) statuses.push((await get(path)).status);
    }
    expect(statuses.filter((status) => status === 200)).toHaveLength(2);
  });

  it('leaves handlers without it alone', async () => {
    const { headers } = await get('/free').expect(200);
    expect(headers['ratelimit']).toBeUndefined();
  });

  it('several are decided together, and a refused one counts for none', async () => {
    const share = () => request(t.url).post('/share').set('Cookie', cookie).set('X-Forwarded-For', '203.0.113.1');
    const first = await share().expect(201);
    expect(first.headers['ratelimit']).toBe('"share_mail";r=0;t=30, "read_limited";r=1;t=60');
    t.clock.advance(seconds(2));
    const refused = await share().expect(429);
    expect(refused.headers['retry-after']).toBe('28');
    expect(Number((await t.db.query('SELECT count(*) AS n FROM auth_rate_limit_events'))[0]!['n'])).toBe(2);
  });

  it('by user: whoever is logged in, wherever from; the others by address', async () => {
    await get('/optional', '203.0.113.1').set('Cookie', cookie).expect(200);
    await get('/optional', '203.0.113.2').set('Cookie', cookie).expect(429);
    await get('/optional', '203.0.113.1').expect(200);
    await get('/optional', '203.0.113.1').expect(429);
    await get('/optional', '203.0.113.2').expect(200);
  });

  it('whoever is not logged in is refused before anything is counted', async () => {
    await request(t.url).post('/share').expect(401);
    expect(await t.db.query('SELECT 1 FROM auth_rate_limit_events')).toEqual([]);
  });

  it('by anything of the request', async () => {
    await get('/door').set('X-Door', 'front').expect(200);
    await get('/door').set('X-Door', 'back').expect(200);
    await get('/door').set('X-Door', 'FRONT').expect(429);
  });

  it('what the client leaves out is no way around: it is limited by address', async () => {
    await get('/door').expect(200);
    await get('/door').expect(429);
    await get('/door', '203.0.113.2').expect(200);
  });
});
