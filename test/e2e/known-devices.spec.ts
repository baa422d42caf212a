import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AuthEvents, days, minutes, RateLimitService, seconds, type AuthEvent } from 'nestjs-latchkey';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, PLATFORMS, SECRET, startTestApp, type TestApp } from '../support/app.js';

const DEVICE = '__Host-session-device';

describe.each(PLATFORMS)('known devices, on %s', (platform) => {
  let t: TestApp;
  let email: string;
  let hosts = 0;
  const others: TestApp[] = [];
  const start = (auth = {}, url?: string) =>
    startTestApp({ platform, url, auth: { rateLimits: undefined, trustedProxies: ['127.0.0.1'], ...auth } });
  const other = async (auth: object) => {
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

  const anywhere = () => `198.51.${++hosts >> 8}.${hosts & 255}`;
  const logIn = (password: string, { cookie = '', login = email, from = anywhere(), at = t } = {}) =>
    request(at.url)
      .post('/auth/login')
      .set('X-Forwarded-For', from)
      .set('Cookie', cookie)
      .send({ email: login, password });
  /** The answer's cookie for known devices, as the browser sends it. */
  const deviceOf = (answer: Response): string => {
    const header = answer.get('Set-Cookie')!.find((one) => one.startsWith(`${DEVICE}=`))!;
    expect(header).toMatch(/; Max-Age=15552000; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    return header.split(';')[0]!;
  };
  const knownDevice = async (login = email) => deviceOf(await logIn(PASSWORD, { login }).expect(200));
  const salvo = async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => logIn('wrong')));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([...Array(10).fill(401), 429, 429]);
  };

  it('H4: is not locked out by the salvo of a stranger; a browser without a past is (negative control)', async () => {
    const cookie = await knownDevice();
    await salvo();
    await logIn(PASSWORD).expect(429);
    await logIn(PASSWORD, { cookie }).expect(200);
    // The owner's login opens nothing for the stranger.
    await logIn('wrong').expect(429);
  });

  it('H4: has ten tries of its own, however many are sent at once, and cannot use up those of others', async () => {
    const cookie = await knownDevice();
    const answers = await Promise.all(Array.from({ length: 15 }, () => logIn('wrong', { cookie })));
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(5);
    await logIn(PASSWORD, { cookie }).expect(429);
    await logIn(PASSWORD).expect(200);
    t.clock.advance(minutes(15) + 1);
    await logIn(PASSWORD, { cookie }).expect(200);
  });

  it('H4: any spelling of the name is the same account, and the name is all that it is good for', async () => {
    const cookie = await knownDevice();
    await salvo();
    await logIn(PASSWORD, { cookie, login: ` ${email.toUpperCase()}` }).expect(200);
    await request(t.url).get('/auth/session').set('Cookie', cookie).expect(401);
  });

  it.each<[string, (cookie: string) => string | Promise<string>]>([
    ["another account's", async () => knownDevice((await createUser(t.app)).email)],
    ['a forged one', (cookie) => `${cookie.slice(0, -4)}AAAA`],
    ['one with another id', (cookie) => cookie.replace('=', '=A').replace(/.\./, '.')],
    [
      'one with a later instant',
      (cookie) => cookie.replace(/\.(\w+)\./, (_, at: string) => `.${at.replace(/.$/, 'z')}.`),
    ],
    ['an empty one', () => `${DEVICE}=`],
    ['one of half a kilobyte', (cookie) => `${cookie}${'A'.repeat(500)}`],
  ])('H4: %s counts as none', async (_, change) => {
    const cookie = await change(await knownDevice());
    await salvo();
    await logIn(PASSWORD, { cookie }).expect(429);
  });

  it('H4: one among several of that name is found; after 180 days it is not', async () => {
    const cookie = await knownDevice();
    await salvo();
    await logIn(PASSWORD, { cookie: `${DEVICE}=tossed; ${cookie}` }).expect(200);
    t.clock.advance(days(180) - 1);
    await salvo();
    await logIn(PASSWORD, { cookie }).expect(200);
    t.clock.advance(days(180));
    await salvo();
    await logIn(PASSWORD, { cookie }).expect(429);
  });

  it('H4: strangers who use up the address do not lock the owner out of a known device behind it', async () => {
    const cookie = deviceOf(await logIn(PASSWORD).expect(200));
    const from = anywhere();
    const limits = t.app.get(RateLimitService);
    for (let i = 0; i < 20; i++) await limits.consume('login_ip', from);
    await logIn(PASSWORD, { from }).expect(429); // negative control
    await logIn(PASSWORD, { from, cookie }).expect(200);
    for (let i = 0; i < 10; i++) {
      await logIn('wrong', { from, cookie }).expect(401);
      t.clock.advance(seconds(5));
    }
    const refused = await logIn(PASSWORD, { from, cookie }).expect(429);
    expect(refused.headers['retry-after']).toBe(String(15 * 60 - 50));
    expect((await limits.check('login_ip', from)).allowed).toBe(false); // the owner's success has cleared nothing
  });

  it('H4: that device has its ten tries exactly there, however many are sent at once', async () => {
    const cookie = deviceOf(await logIn(PASSWORD).expect(200));
    const from = anywhere();
    for (let i = 0; i < 20; i++) await t.app.get(RateLimitService).consume('login_ip', from);
    const answers = await Promise.all(Array.from({ length: 30 }, () => logIn('wrong', { from, cookie })));
    // The first failures start the back-off, which refuses some of those that come after them.
    expect(answers.filter(({ status }) => status === 401).length).toBeLessThanOrEqual(10);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401, 429]));
  });

  it('H4: one device of the account does not use up the tries of another', async () => {
    const [mine, theirs] = [deviceOf(await logIn(PASSWORD)), deviceOf(await logIn(PASSWORD))];
    await salvo();
    for (let i = 0; i < 10; i++) await logIn('wrong', { cookie: theirs }).expect(401);
    await logIn(PASSWORD, { cookie: theirs }).expect(429);
    await logIn(PASSWORD, { cookie: mine }).expect(200);
  });

  it('H4: a rotation of the secret keeps devices known, and the old secret does not know the new value', async () => {
    const first = deviceOf(await logIn(PASSWORD).expect(200));
    const rotated = await other({ secrets: ['another secret that is long enough: 0123456789', SECRET] });
    const foreign = await other({ secrets: ['a third secret that is long enough: 0123456789'] });
    const second = deviceOf(await logIn(PASSWORD, { cookie: first, at: rotated }).expect(200));
    const idOf = (cookie: string) => cookie.slice(0, cookie.indexOf('.'));
    expect(idOf(second)).toBe(idOf(first));
    await salvo();
    await logIn(PASSWORD, { cookie: first, at: rotated }).expect(200);
    await logIn(PASSWORD, { cookie: second }).expect(429);
    await logIn(PASSWORD, { cookie: first, at: foreign }).expect(429);
  });

  it('H4: the cookie has the attributes of the session cookie, whatever those are', async () => {
    const wide = await other({ cookie: { name: 'sid', domain: 'example.com', path: '/app', partitioned: true } });
    const headers = (await logIn(PASSWORD, { at: wide }).expect(200)).get('Set-Cookie')!;
    const attributes = (header: string) =>
      header
        .split('; ')
        .slice(1)
        .filter((one) => !one.startsWith('Max-Age'));
    const device = headers.find((header) => header.startsWith('__Secure-sid-device='))!;
    expect(attributes(device)).toEqual(attributes(headers[0]!));
    expect(attributes(device)).toEqual(expect.arrayContaining(['Domain=example.com', 'Path=/app', 'Partitioned']));
  });

  it('H4: the limit of a known device is told as any other, once', async () => {
    const cookie = deviceOf(await logIn(PASSWORD).expect(200));
    const heard: AuthEvent[] = [];
    const stop = t.app.get(AuthEvents).on((event) => void heard.push(event));
    for (let i = 0; i < 13; i++) await logIn('wrong', { cookie });
    stop();
    const reached = heard.filter(({ type }) => type === 'rate_limit.reached');
    expect(reached).toMatchObject([{ event: 'login_known_device' }]);
    t.clock.advance(minutes(15));
  });
});
