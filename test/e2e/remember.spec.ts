import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { days, hours, SessionService } from 'nestjs-latchkey';
import { LoginService } from 'nestjs-latchkey/engine';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, startTestApp, type TestApp } from '../support/app.js';
import { cookieOf } from '../support/cookies.js';

const LIFETIMES = { ttl: hours(12), extendBelow: hours(6), absoluteLifetime: days(1) };
const REMEMBERED = { ttl: days(30), extendBelow: days(7), absoluteLifetime: days(90) };

describe.each(['database', 'signed-cookie'] as const)('remember me, with scheme %s', (scheme) => {
  let t: TestApp;
  let email: string;
  beforeAll(async () => {
    t = await startTestApp({ auth: { session: { scheme, ...LIFETIMES, remembered: REMEMBERED } } });
    ({ email } = await createUser(t.app));
  });
  afterAll(() => t?.close());

  const logIn = (remember?: unknown) =>
    request(t.url).post('/auth/login').send({ email, password: PASSWORD, remember });
  const show = (cookie: string) => request(t.url).get('/auth/session').set('Cookie', cookie);
  const setCookie = (answer: Response) => answer.get('Set-Cookie')![0]!;
  const lifeOf = (answer: Response) => Date.parse(answer.body.expiresAt as string) - t.clock.now();

  it('a remembered login has the long lifetimes and a persistent cookie; any other neither', async () => {
    const long = await logIn(true).expect(200);
    expect(lifeOf(long)).toBe(REMEMBERED.ttl);
    expect(setCookie(long)).toContain('; Max-Age=2592000;');
    for (const remember of [false, undefined]) {
      const short = await logIn(remember).expect(200);
      expect(lifeOf(short)).toBe(LIFETIMES.ttl);
      expect(setCookie(short)).not.toMatch(/Max-Age|Expires/);
    }
  });

  it('the choice survives extension and rotation', async () => {
    for (const remember of [true, false]) {
      const lifetimes = remember ? REMEMBERED : LIFETIMES;
      const first = cookieOf(await logIn(remember).expect(200));
      const value = await t.app.get(LoginService).rotate(first.slice(first.indexOf('=') + 1));
      expect(value).toMatchObject({ persistent: remember, expiresAt: t.clock.now() + lifetimes.ttl });
      t.clock.advance(lifetimes.ttl - lifetimes.extendBelow + 1000);
      const extended = await show(`${first.slice(0, first.indexOf('='))}=${value!.value}`).expect(200);
      expect(/Max-Age/.test(setCookie(extended))).toBe(remember);
    }
  });

  it('a session that is not remembered ends at its short idle time', async () => {
    const cookie = cookieOf(await logIn(false).expect(200));
    t.clock.advance(LIFETIMES.ttl + 1000);
    await show(cookie).expect(401);
  });

  it('refuses a choice that is none', async () => {
    const { body } = await logIn('yes').expect(422);
    expect(body.fields).toEqual({ remember: 'must be true or false' });
  });
});

describe('remember me, without the option', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(() => t?.close());

  it('every login is as before, whatever it says', async () => {
    const { id, email } = await createUser(t.app);
    for (const remember of [true, false, 'yes']) {
      const answer = await request(t.url).post('/auth/login').send({ email, password: PASSWORD, remember }).expect(200);
      expect(answer.get('Set-Cookie')![0]).toContain('; Max-Age=2592000;');
    }
    for (const session of await t.app.get(SessionService).listForUser(id))
      expect(session).not.toHaveProperty('remembered');
  });
});
