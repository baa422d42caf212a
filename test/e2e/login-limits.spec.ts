import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { UnauthorizedException } from '@nestjs/common';
import { days, minutes, RateLimitService, seconds, PostgresUserDirectory, AuthError } from 'nestjs-latchkey';
import { LoginLimits } from 'nestjs-latchkey/engine';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp, whileAway } from '../support/app.js';

describe.each(PLATFORMS)('limits on login, on %s', (platform) => {
  let t: TestApp;
  let email: string;
  let from: string;
  let accounts = 0;
  let hosts = 0;
  beforeAll(async () => {
    t = await startTestApp({
      platform,
      auth: { rateLimits: undefined, trustedProxies: ['127.0.0.1'] },
    });
  });
  afterAll(() => t?.close());
  beforeEach(async () => {
    ({ email } = await createUser(t.app, `ada${++accounts}@example.com`));
    from = elsewhere();
  });

  /** An address that has done nothing yet. */
  const elsewhere = () => `198.51.${++hosts >> 8}.${hosts & 255}`;
  const attempt = (password: unknown, { address = from, login = email, path = '/auth/login' } = {}) =>
    request(t.url).post(path).set('X-Forwarded-For', address).send({ email: login, password });
  /** One wrong password from an address that has no back-off. */
  const wrongFromElsewhere = (login = email) => attempt('wrong', { address: elsewhere(), login });

  it('T: wrong once, at once again: 429 with Retry-After, and the password is not looked at; after 0.5 s allowed', async () => {
    await attempt('wrong').expect(401);
    const users = t.app.get(PostgresUserDirectory);
    const verify = users.verifyCredentials.bind(users);
    let looked = 0;
    users.verifyCredentials = (...credentials) => (looked++, verify(...credentials));
    const refused = await attempt(PASSWORD).expect(429);
    expect(refused.body).toMatchObject({ statusCode: 429, code: 'RATE_LIMITED' });
    expect(refused.headers['retry-after']).toBe('1');
    expect(refused.headers['set-cookie']).toBeUndefined();
    expect(looked).toBe(0);
    users.verifyCredentials = verify;
    t.clock.advance(seconds(0.5) - 0.001);
    await attempt(PASSWORD).expect(429);
    t.clock.advance(0.001);
    await attempt(PASSWORD).expect(200);
  });

  it('T: the n-th failure makes one wait 0.5, 1, 2, 4, 5, 5 s, from the last failure', async () => {
    for (const wait of [0.5, 1, 2, 4, 5, 5]) {
      await attempt('wrong').expect(401);
      t.clock.advance(seconds(wait) - 0.001);
      const refused = await attempt(PASSWORD).expect(429);
      expect(refused.headers['retry-after']).toBe('1');
      t.clock.advance(0.001);
    }
  });

  it('Retry-After is the true time, rounded up', async () => {
    for (const wait of [0.5, 1, 2]) {
      await attempt('wrong').expect(401);
      t.clock.advance(seconds(wait));
    }
    await attempt('wrong').expect(401);
    expect((await attempt(PASSWORD).expect(429)).headers['retry-after']).toBe('4');
    t.clock.advance(seconds(1.5));
    expect((await attempt(PASSWORD).expect(429)).headers['retry-after']).toBe('3');
  });

  it('a success resets the back-off', async () => {
    for (const wait of [0.5, 1, 2]) {
      await attempt('wrong').expect(401);
      t.clock.advance(seconds(wait));
    }
    await attempt(PASSWORD).expect(200);
    await attempt('wrong').expect(401);
    expect((await attempt(PASSWORD).expect(429)).headers['retry-after']).toBe('1');
    t.clock.advance(seconds(0.5));
    await attempt(PASSWORD).expect(200);
  });

  it('T: another address is unaffected; T: X-Forwarded-For from an untrusted peer is ignored', async () => {
    await attempt('wrong').expect(401);
    await attempt(PASSWORD, { address: elsewhere() }).expect(200);

    const plain = await startTestApp({ url: t.db.url, platform, auth: { rateLimits: undefined } });
    const post = (address: string) =>
      request(plain.url).post('/auth/login').set('X-Forwarded-For', address).send({ email, password: 'wrong' });
    await post('192.0.2.1').expect(401);
    await post('192.0.2.2').expect(429);
    await plain.close();
  });

  it('ten failures block the account for 15 minutes after the first, from everywhere; a refused try counts nothing', async () => {
    for (let i = 0; i < 10; i++) {
      await wrongFromElsewhere().expect(401);
      t.clock.advance(seconds(30));
    }
    const refused = await attempt(PASSWORD).expect(429);
    expect(refused.headers['retry-after']).toBe(String(15 * 60 - 300));
    for (let i = 0; i < 5; i++) await wrongFromElsewhere().expect(429);
    t.clock.advance(minutes(10) - 0.001);
    await attempt(PASSWORD).expect(429);
    t.clock.advance(seconds(1));
    await attempt(PASSWORD).expect(200);
  });

  describe('H4: a browser that has logged in before', () => {
    const DEVICE = '__Host-session-device';
    /** The `Cookie` header of a browser that has logged in to this account, and logged out. */
    const knownBrowser = async (login = email) => {
      const { headers } = await attempt(PASSWORD, { login }).expect(200);
      const cookies = [headers['set-cookie']].flat().map(String);
      const device = cookies.find((cookie) => cookie.startsWith(`${DEVICE}=`))!;
      expect(device).toMatch(/; Max-Age=15552000; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
      return device.split(';')[0]!;
    };
    const fromBrowser = (cookie: string, password: unknown, login = email) =>
      attempt(password, { address: elsewhere(), login }).set('Cookie', cookie);
    const salvo = async () => {
      const answers = await Promise.all(Array.from({ length: 12 }, () => wrongFromElsewhere()));
      expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([...Array(10).fill(401), 429, 429]);
    };

    it('H4: is not locked out by the salvo of a stranger; a browser without a past is (negative control)', async () => {
      const cookie = await knownBrowser();
      await salvo();
      await attempt(PASSWORD, { address: elsewhere() }).expect(429);
      await fromBrowser(cookie, PASSWORD).expect(200);
      // The owner's login opens nothing for the stranger.
      await wrongFromElsewhere().expect(429);
    });

    it('H4: has ten tries of its own, however many are sent at once, and cannot use up those of others', async () => {
      const cookie = await knownBrowser();
      const answers = await Promise.all(Array.from({ length: 15 }, () => fromBrowser(cookie, 'wrong')));
      expect(answers.filter(({ status }) => status === 401)).toHaveLength(10);
      expect(answers.filter(({ status }) => status === 429)).toHaveLength(5);
      await fromBrowser(cookie, PASSWORD).expect(429);
      await attempt(PASSWORD, { address: elsewhere() }).expect(200);
      t.clock.advance(minutes(15) + 1);
      await fromBrowser(cookie, PASSWORD).expect(200);
    });

    it('H4: any spelling of the name is the same account, and the name is all that it is good for', async () => {
      const cookie = await knownBrowser();
      await salvo();
      await fromBrowser(cookie, PASSWORD, ` ${email.toUpperCase()}`).expect(200);
      await request(t.url).get('/auth/session').set('Cookie', cookie).expect(401);
    });

    it.each<[string, (cookie: string) => string | Promise<string>]>([
      ["another account's", async () => knownBrowser((await createUser(t.app, `eve${++accounts}@example.com`)).email)],
      ['a forged one', (cookie) => `${cookie.slice(0, -4)}AAAA`],
      ['one with another id', (cookie) => cookie.replace('=', '=A').replace(/.\./, '.')],
      [
        'one with a later instant',
        (cookie) => cookie.replace(/\.(\w+)\./, (_, at: string) => `.${at.replace(/.$/, 'z')}.`),
      ],
      ['an empty one', () => `${DEVICE}=`],
      ['one of half a kilobyte', (cookie) => `${cookie}${'A'.repeat(500)}`],
    ])('H4: %s counts as none', async (_, change) => {
      const cookie = await change(await knownBrowser());
      await salvo();
      await fromBrowser(cookie, PASSWORD).expect(429);
    });

    it('H4: one among several of that name is found; after 180 days it is not', async () => {
      const cookie = await knownBrowser();
      await salvo();
      await fromBrowser(`${DEVICE}=tossed; ${cookie}`, PASSWORD).expect(200);
      t.clock.advance(days(180) - 1);
      await salvo();
      await fromBrowser(cookie, PASSWORD).expect(200);
      t.clock.advance(days(180));
      await salvo();
      await fromBrowser(cookie, PASSWORD).expect(429);
    });
  });

  it('T: an unknown account is limited like a known one', async () => {
    for (let i = 0; i < 10; i++) await wrongFromElsewhere(`nobody${accounts}@example.com`).expect(401);
    await wrongFromElsewhere(`nobody${accounts}@example.com`).expect(429);
  });

  it('R21: one bucket for every spelling of an account', async () => {
    for (let i = 0; i < 10; i++)
      await wrongFromElsewhere(i % 2 ? email.toUpperCase() : ` ${email.replace('a', 'ａ')}`).expect(401);
    await wrongFromElsewhere().expect(429);
  });

  it('T: 2 wrong, 1 right, 2 wrong is never 429: success clears the account', async () => {
    for (let i = 0; i < 9; i++) await wrongFromElsewhere().expect(401);
    await attempt(PASSWORD).expect(200);
    for (let i = 0; i < 9; i++) await wrongFromElsewhere().expect(401);
    await attempt(PASSWORD).expect(200);
  });

  it("twenty failures block the address; one's own success never clears it", async () => {
    const victims = await Promise.all(
      Array.from({ length: 21 }, (_, i) => createUser(t.app, `victim${hosts}-${i}@example.com`)),
    );
    for (let i = 0; i < 20; i++) {
      await attempt('wrong', { login: victims[i]!.email }).expect(401);
      t.clock.advance(seconds(5));
      if (i === 10) await attempt(PASSWORD).expect(200);
    }
    await attempt('wrong', { login: victims[20]!.email }).expect(429);
    await attempt(PASSWORD).expect(429);
    await attempt(PASSWORD, { address: elsewhere() }).expect(200);
  });

  it('only failures count: fifty logins of one address and account in a row', async () => {
    for (let i = 0; i < 50; i++) await attempt(PASSWORD).expect(200);
    const left = await t.app.get(RateLimitService).check('login_ip', from);
    expect(left.remaining).toBe(20);
  });

  it('of 60 guesses at one moment no more than the limit reach the hash', async () => {
    const users = t.app.get(PostgresUserDirectory);
    const verify = users.verifyCredentials.bind(users);
    let looked = 0;
    users.verifyCredentials = (...credentials) => (looked++, verify(...credentials));
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => attempt('wrong', { address: `192.0.2.${i}`, login: email })),
    );
    users.verifyCredentials = verify;
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(50);
    expect(looked).toBe(10);
  });

  it('G4: the token route has the same limits', async () => {
    for (let i = 0; i < 10; i++) await wrongFromElsewhere().expect(401);
    await attempt(PASSWORD, { path: '/auth/token' }).expect(429);
  });

  it("whatever a host's own verification throws or refuses counts as a failure, faults excepted", async () => {
    const guess = (verify: () => Promise<unknown>) => t.app.get(LoginLimits).enforce(null, email, verify);
    for (const verify of [
      () => Promise.reject(new UnauthorizedException()),
      () => Promise.resolve(null),
      () => Promise.resolve(false),
    ]) {
      await t.app.get(RateLimitService).clear('login_attempt', email);
      const outcomes = [];
      for (let i = 0; i < 20; i++)
        outcomes.push(await guess(verify).catch((error: Error) => (error as AuthError).code));
      expect(outcomes.filter((code) => code === 'RATE_LIMITED')).toHaveLength(10);
    }
  });

  it('a fault is no failure: nothing is counted', async () => {
    const users = t.app.get(PostgresUserDirectory);
    await whileAway(users, async () => {
      for (let i = 0; i < 30; i++) await attempt(PASSWORD).expect(503);
    });
    await attempt(PASSWORD).expect(200);
  });

  it('R24: two addresses of one IPv6 /64 are one client, two IPv4 never', async () => {
    await attempt('wrong', { address: '2001:db8:1:2::1' }).expect(401);
    await attempt(PASSWORD, { address: '2001:db8:1:2:ffff::9' }).expect(429);
    await attempt(PASSWORD, { address: '2001:db8:1:3::1' }).expect(200);
    await attempt('wrong', { address: '::ffff:192.0.2.200' }).expect(401);
    await attempt(PASSWORD, { address: '192.0.2.200' }).expect(429);
    await attempt(PASSWORD, { address: '192.0.2.201' }).expect(200);
    t.clock.advance(minutes(15));
  });

  it('H3: the /64 of one /48 share a limit beside their own; another /48 and IPv4 are unaffected', async () => {
    const wrongFrom = (i: number) =>
      attempt('wrong', { address: `2001:db8:48:${i.toString(16)}::1`, login: `nobody${i}@example.net` });
    for (let i = 0; i < 200; i += 20) {
      const answers = await Promise.all(Array.from({ length: 20 }, (_, j) => wrongFrom(i + j)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    }
    const refused = await attempt(PASSWORD, { address: '2001:db8:48:ffff::1' }).expect(429);
    expect(refused.headers['retry-after']).toBe(String(15 * 60));
    await attempt(PASSWORD, { address: '2001:db8:49::1' }).expect(200);
    await attempt(PASSWORD).expect(200);
    t.clock.advance(minutes(15));
    await attempt(PASSWORD, { address: '2001:db8:48:ffff::1' }).expect(200);
  });

  it('H3: a login that found no place in the hasher counts for its address, and not for the account', async () => {
    const users = t.app.get(PostgresUserDirectory);
    const verify = users.verifyCredentials.bind(users);
    const overloaded = new AuthError('HASHER_OVERLOADED', 'full', { retryAfter: 1 });
    const given: unknown[] = [];
    users.verifyCredentials = (_login, _password, ip) => (given.push(ip), Promise.reject(overloaded));
    for (let i = 0; i < 20; i++) await attempt('wrong').expect(503);
    await attempt('wrong').expect(429);
    users.verifyCredentials = verify;
    expect(given).toEqual(Array.from({ length: 20 }, () => from)); // the directory knows whom it is for
    await attempt(PASSWORD).expect(429);
    await attempt(PASSWORD, { address: elsewhere() }).expect(200);
  });

  it('the list of sessions shows the client, not the proxy', async () => {
    const answer = await attempt(PASSWORD).expect(200);
    const cookie = answer.get('Set-Cookie')![0]!.split(';')[0]!;
    const { body } = await request(t.url).get('/auth/session').set('Cookie', cookie).expect(200);
    expect(body.session.ip).toBe(from);
  });
});
