import { Controller, Get, Logger } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { CurrentUser, OptionalAuth } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { mailTo, newAddress, REGISTRATION } from '../support/registration.js';

@Controller()
class MeController {
  @Get('me')
  me(@CurrentUser('email') email: string) {
    return { email };
  }

  @OptionalAuth()
  @Get('who')
  who(@CurrentUser('email') email: string | null) {
    return { email };
  }
}

/** What the browser has of the old system, for all hosts of the domain. */
const OLD = 'session=of-the-old-system';
const CLEARED = /^session=; Max-Age=0; Domain=example\.com; Path=\/; HttpOnly; Secure; SameSite=Lax$/;

describe.each(PLATFORMS)('a session for all hosts of a domain, on %s', (platform) => {
  let t: TestApp;
  beforeAll(async () => {
    const cookie = { domain: 'example.com', path: '/', partitioned: true, sameSite: 'none' } as const;
    t = await startTestApp({ platform, controllers: [MeController], auth: { cookie } });
  });
  afterAll(() => t?.close());

  it('begins, is cleared and shadowed by nothing', async () => {
    const { email } = await createUser(t.app);
    const ATTRIBUTES = 'Domain=example.com; Path=/; HttpOnly; Secure; Partitioned; SameSite=None';
    const login = await request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(200);
    const [own, ...twins] = login.get('Set-Cookie')!;
    expect(own).toMatch(new RegExp(`^__Secure-session=[^;]{43}; Max-Age=2592000; ${ATTRIBUTES}$`));
    const cleared = [
      '__Secure-session=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=None',
      '__Secure-session=; Max-Age=0; Domain=example.com; Path=/; HttpOnly; Secure; SameSite=None',
    ];
    const device = new RegExp(`^__Secure-session-device=[^;]+; Max-Age=15552000; ${ATTRIBUTES}$`);
    expect(twins).toEqual([...cleared, expect.stringMatching(device)]);
    const pair = own!.split(';')[0]!;
    await request(t.url).get('/me').set('Cookie', pair).expect(200, { email });
    const shadowed = await request(t.url).get('/me').set('Cookie', `${pair}; __Secure-session=old`).expect(401);
    expect(shadowed.get('Set-Cookie')).toEqual(cleared);
    const logout = await request(t.url).post('/auth/logout').set('Cookie', pair).expect(200);
    expect(logout.get('Set-Cookie')).toEqual([`__Secure-session=; Max-Age=0; ${ATTRIBUTES}`, ...cleared]);
    await request(t.url).get('/me').set('Cookie', pair).expect(401);
  });
});

describe.each(PLATFORMS)('F29: where sessions are of a domain or a path, on %s', (platform) => {
  it.each([{ domain: 'example.com' }, { path: '/app' }])('with %j a flow is of one host alone', async (cookie) => {
    const t = await startTestApp({ platform, auth: { ...REGISTRATION, cookie } });
    const email = newAddress();
    const post = (path: string, body: object, sent = '') =>
      request(t.url).post(`/auth/${path}`).set('Cookie', sent).send(body);
    const [set] = (await post('register', { email, password: PASSWORD }).expect(202)).get('Set-Cookie')!;
    expect(set).toMatch(/^__Host-session-register=[^;]+; Max-Age=\d+; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    const own = set!.split(';')[0]!;
    const { token } = await mailTo(t, email);
    // What another host of the domain can plant has any name but that one.
    for (const name of ['__Secure-session-register', 'session-register']) {
      const planted = own.replace('__Host-session-register', name);
      await post('register/confirm', { token }, planted).expect(422);
    }
    // Negative control.
    await post('register/confirm', { token }, own).expect(200);
    await t.close();
  });
});

describe.each(PLATFORMS)('H30: a cookie of our name with a Domain, on %s', (platform) => {
  let t: TestApp;
  let cookie: string;
  const credentials = { email: 'ada@example.com', password: PASSWORD };

  const start = async (clearDomains: string[]) => {
    t = await startTestApp({
      platform,
      controllers: [MeController],
      auth: { cookie: { hostPrefix: false, clearDomains } },
    });
    cookie = await signInAs(t.app, (await createUser(t.app, credentials.email)).id);
  };
  const get = (path: string, header: string) => request(t.url).get(path).set('Cookie', header);
  const cookiesOf = (answer: request.Response) => answer.get('Set-Cookie') ?? [];

  describe('with clearDomains', () => {
    beforeAll(() => start(['example.com']));
    afterAll(() => t?.close());

    it('a login clears it, beside the new cookie', async () => {
      const answer = await request(t.url).post('/auth/login').set('Cookie', OLD).send(credentials).expect(200);
      expect(cookiesOf(answer)).toEqual([
        expect.stringMatching(/^session=[^;]{20,}; Max-Age=2592000;/),
        expect.stringMatching(CLEARED),
        expect.stringContaining('session-device='),
      ]);
      expect(cookiesOf(answer)[0]).not.toContain('Domain');
    });

    it('a logout clears it too', async () => {
      const answer = await request(t.url).post('/auth/logout').set('Cookie', `${OLD}; ${cookie}`).expect(200);
      expect(cookiesOf(answer)).toEqual([
        expect.stringMatching(/^session=; Max-Age=0; Path/),
        expect.stringMatching(CLEARED),
      ]);
      cookie = await signInAs(t.app, (await createUser(t.app)).id);
    });

    it('a request with both is nobody’s, and mends the next one', async () => {
      for (const path of ['/me', '/who']) {
        const answer = await get(path, `${OLD}; ${cookie}`);
        expect(answer.status).toBe(path === '/me' ? 401 : 200);
        expect(cookiesOf(answer)).toEqual([expect.stringMatching(CLEARED)]);
      }
      expect(cookiesOf(await get('/me', cookie).expect(200))).toEqual([]);
    });
  });

  describe('without', () => {
    beforeAll(() => start([]));
    afterAll(() => t?.close());

    it('both are refused, and the log says once what to do, without a token', async () => {
      const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
      try {
        for (let i = 0; i < 3; i++) expect(cookiesOf(await get('/me', `${OLD}; ${cookie}`).expect(401))).toEqual([]);
        expect(warn.mock.calls).toHaveLength(1);
        expect(warn.mock.calls[0]![0]).toContain('cookie.clearDomains');
        expect(warn.mock.calls[0]![0]).not.toContain(cookie.slice('session='.length));
      } finally {
        warn.mockRestore();
      }
    });
  });
});
