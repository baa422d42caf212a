import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AuthEvents, days, minutes, seconds, type AuthEvent } from 'nestjs-latchkey';
import { KnownDevices } from 'nestjs-latchkey/engine';
import request, { type Response } from 'supertest';
import {
  createUser,
  PASSWORD,
  PLATFORMS,
  SECRET,
  startTestApp,
  type TestApp,
  type TestAppOptions,
} from '../support/app.js';

const DEVICE = '__Host-session-device';

describe.each(PLATFORMS)('known devices, on %s', (platform) => {
  let t: TestApp;
  let email: string;
  let hosts = 0;
  const others: TestApp[] = [];
  const start = (auth: TestAppOptions['auth'] = {}, url?: string) =>
    startTestApp({ platform, url, auth: { rateLimits: undefined, trustedProxies: ['127.0.0.1'], ...auth } });
  const other = async (auth: TestAppOptions['auth']) => {
    const app = await start(auth, t.db.url);
    app.clock.advance(t.clock.now() - app.clock.now());
    others.push(app);
    return app;
  };
  beforeAll(async () => void (t = await start()));
  afterAll(async () => {
    for (const app of others) await app.close();
    await t?.close();
  });
  beforeEach(async () => void ({ email } = await createUser(t.app)));

  const anywhere = () => `198.51.${100 + Math.floor(++hosts / 250)}.${hosts % 250}`;
  const logIn = (
    password: string,
    { cookie = '', login = email, from = anywhere(), at = t, path = '/auth/login' } = {},
  ) => request(at.url).post(path).set('X-Forwarded-For', from).set('Cookie', cookie).send({ email: login, password });
  /** The answer's cookie for known devices, as the browser sends it. */
  const deviceOf = (answer: Response, name = DEVICE): string =>
    answer
      .get('Set-Cookie')!
      .find((header) => header.startsWith(`${name}=`))!
      .split(';')[0]!;
  /** Strangers use up the account's limit. */
  const salvo = async (login = email) => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => logIn('wrong', { login })));
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10);
  };

  it('H4: after a stranger’s salvo the owner logs in on a device known to the account, and only there', async () => {
    const cookie = deviceOf(await logIn(PASSWORD).expect(200));
    for (let round = 0; round < 3; round++) {
      await salvo();
      await logIn(PASSWORD).expect(429); // negative control: the salvo does lock out everybody else
      await logIn(PASSWORD, { cookie }).expect(200);
      await logIn(PASSWORD).expect(429); // the owner's success does not give strangers new guesses
      await logIn(PASSWORD, { cookie, path: '/auth/token' }).expect(200);
      t.clock.advance(minutes(15));
    }
  });

  it('H4: strangers who use up the address do not lock the owner out of a known device behind it', async () => {
    const cookie = deviceOf(await logIn(PASSWORD).expect(200));
    const from = anywhere();
    await Promise.all(Array.from({ length: 20 }, (_, i) => logIn('wrong', { from, login: `nobody${i}@example.net` })));
    t.clock.advance(seconds(5));
    await logIn(PASSWORD, { from }).expect(429);
    await logIn(PASSWORD, { from, cookie }).expect(200);
  });

  it('H4: a known device has ten guesses more, exactly, and its success clears them', async () => {
    const cookie = deviceOf(await logIn(PASSWORD).expect(200));
    await salvo();
    const guess = () => logIn('wrong', { cookie });
    for (let i = 0; i < 9; i++) await guess().expect(401);
    await logIn(PASSWORD, { cookie }).expect(200);
    const answers = await Promise.all(Array.from({ length: 30 }, guess));
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10);
    const refused = await logIn(PASSWORD, { cookie }).expect(429);
    expect(refused.headers['retry-after']).toBe(String(15 * 60));
    t.clock.advance(minutes(15));
    await logIn(PASSWORD, { cookie }).expect(200);
  });

  it('H4: one device of the account does not use up another one’s guesses', async () => {
    const [mine, theirs] = [deviceOf(await logIn(PASSWORD)), deviceOf(await logIn(PASSWORD))];
    await salvo();
    for (let i = 0; i < 10; i++) await logIn('wrong', { cookie: theirs }).expect(401);
    await logIn(PASSWORD, { cookie: theirs }).expect(429);
    await logIn(PASSWORD, { cookie: mine }).expect(200);
  });

  it('H4: a cookie that is forged, expired or of another login name is as none', async () => {
    const cookie = deviceOf(await logIn(PASSWORD).expect(200));
    const [, id, issuedAt, mac] = /=([0-9a-f]{32})\.(\d+)\.(.{43})$/.exec(cookie)!;
    const stranger = await createUser(t.app);
    const theirs = deviceOf(await logIn(PASSWORD, { login: stranger.email }).expect(200));
    const otherSecret = await other({ secrets: ['another secret that is long enough: 0123456789'] });
    const foreign = deviceOf(await logIn(PASSWORD, { at: otherSecret }).expect(200));
    await salvo();
    const last = mac!.at(-1) === 'A' ? 'B' : 'A';
    for (const bad of [
      theirs,
      foreign,
      `${DEVICE}=${id}.${issuedAt}.${mac!.slice(0, -1)}${last}`,
      `${DEVICE}=${id}.${Number(issuedAt) + 1}.${mac}`,
      `${DEVICE}=${id!.replace(/^./, (c) => (c === '0' ? '1' : '0'))}.${issuedAt}.${mac}`,
      `${DEVICE}=${id}.${issuedAt}.`,
      `${DEVICE}=`,
      `${DEVICE}=%00`,
      cookie.replace(DEVICE, '__Host-session'),
    ]) {
      await logIn(PASSWORD, { cookie: bad }).expect(429);
    }
    await logIn(PASSWORD, { cookie: `${theirs}; ${cookie}` }).expect(200); // beside others it counts

    const left = days(180) - (t.clock.now() - Number(issuedAt) * 1000);
    t.clock.advance(left - 1);
    await salvo();
    await logIn(PASSWORD, { cookie: theirs }).expect(429);
    expect(t.app.get(KnownDevices).find(email, [cookie.slice(DEVICE.length + 1)])).toBe(id);
    t.clock.advance(1);
    expect(t.app.get(KnownDevices).find(email, [cookie.slice(DEVICE.length + 1)])).toBeNull();
    await logIn(PASSWORD, { cookie }).expect(429);
  });

  it('H4: a login renews the cookie and the device keeps its bucket; after a rotation of the secret too', async () => {
    const first = deviceOf(await logIn(PASSWORD).expect(200));
    t.clock.advance(days(100));
    const rotated = await other({ secrets: ['another secret that is long enough: 0123456789', SECRET] });
    const second = deviceOf(await logIn(PASSWORD, { cookie: first, at: rotated }).expect(200));
    const idOf = (cookie: string) => cookie.slice(0, cookie.indexOf('.'));
    expect(idOf(second)).toBe(idOf(first));
    expect(second).not.toBe(first);
    await salvo();
    await logIn(PASSWORD, { cookie: first, at: rotated }).expect(200);
    await logIn(PASSWORD, { cookie: second, at: rotated }).expect(200);
    await logIn(PASSWORD, { cookie: second }).expect(429); // a process that has only the old secret
  });

  it('H4: every spelling of the login name is the same account’s', async () => {
    const cookie = deviceOf(await logIn(PASSWORD).expect(200));
    await salvo();
    await logIn(PASSWORD, { cookie, login: ` ${email.toUpperCase()} ` }).expect(200);
  });

  it('H4: the cookie has the attributes of the session cookie, stays after a logout, and is no credential', async () => {
    const answer = await logIn(PASSWORD).expect(200);
    const [session, device] = answer.get('Set-Cookie')!;
    const attributes = (header: string) =>
      header
        .split('; ')
        .slice(1)
        .filter((one) => !one.startsWith('Max-Age'))
        .toSorted();
    expect(attributes(device!)).toEqual(attributes(session!));
    expect(device).toMatch(/; Max-Age=155520\d\d;/);
    expect(device).toContain('HttpOnly');
    expect(deviceOf(answer)).not.toContain(email);
    const sent = answer
      .get('Set-Cookie')!
      .map((header) => header.split(';')[0])
      .join('; ');
    const out = await request(t.url).post('/auth/logout').set('Cookie', sent).expect(200);
    expect(out.get('Set-Cookie')!.filter((header) => header.startsWith(`${DEVICE}=`))).toEqual([]);
    await request(t.url).get('/auth/session').set('Cookie', deviceOf(answer)).expect(401);
    await request(t.url)
      .get('/auth/session')
      .set('Cookie', deviceOf(answer).replace(DEVICE, '__Host-session'))
      .expect(401);
    expect((await logIn(PASSWORD, { path: '/auth/token' }).expect(200)).headers['set-cookie']).toBeUndefined();

    const wide = await other({ cookie: { name: 'sid', domain: 'example.com', path: '/app', partitioned: true } });
    const headers = (await logIn(PASSWORD, { at: wide }).expect(200)).get('Set-Cookie')!;
    const widened = headers.find((header) => header.startsWith('__Secure-sid-device='))!;
    expect(attributes(widened)).toEqual(attributes(headers[0]!));
    expect(attributes(widened)).toEqual(expect.arrayContaining(['Domain=example.com', 'Path=/app', 'Partitioned']));
  });

  it('H4: a bucket of a known device that is full is told as any other', async () => {
    const cookie = deviceOf(await logIn(PASSWORD).expect(200));
    await salvo();
    const heard: AuthEvent[] = [];
    const stop = t.app.get(AuthEvents).on((event) => void heard.push(event));
    for (let i = 0; i < 13; i++) await logIn('wrong', { cookie });
    stop();
    const reached = heard.filter(({ type }) => type === 'rate_limit.reached');
    expect(reached.map((event) => 'event' in event && event.event)).toEqual(['login_known']);
  });
});
