import { beforeAll, describe, expect, it } from '@jest/globals';
import { days, hours, PostgresUserDirectory, SessionService } from 'nestjs-latchkey';
import { LoginService, PasswordChangeService } from 'nestjs-latchkey/flows';
import { SessionScheme } from '../../src/login/session-scheme.js';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { cookieOf } from '../support/cookies.js';

const LIFETIMES = { ttl: hours(12), extendBelow: hours(6), absoluteLifetime: days(1) };
const REMEMBERED = { ttl: days(30), extendBelow: days(7), absoluteLifetime: days(90) };

const VARIANTS = PLATFORMS.flatMap((platform) =>
  (['database', 'signed-cookie'] as const).map((scheme) => ({ platform, scheme })),
);

describe.each(VARIANTS)('remember me, with scheme $scheme on $platform', ({ platform, scheme }) => {
  const t = sharedTestApp({ platform, auth: { session: { scheme, ...LIFETIMES, remembered: REMEMBERED } } });
  let id: string;
  let email: string;
  beforeAll(async () => {
    ({ id, email } = await createUser(t.app));
  });

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

  it('a remembered session ends with logout-all and with a new password as any other, and the next login chooses anew', async () => {
    const endings = [
      (cookie: string) => request(t.url).post('/auth/logout-all').set('Cookie', cookie).expect(200),
      () => t.app.get(PostgresUserDirectory).setPassword(id, PASSWORD),
    ];
    for (const end of endings) {
      const cookie = cookieOf(await logIn(true).expect(200));
      await show(cookie).expect(200);
      await end(cookie);
      await show(cookie).expect(401);
      expect(setCookie(await logIn(false).expect(200))).not.toMatch(/Max-Age|Expires/);
      expect(setCookie(await logIn(true).expect(200))).toContain('; Max-Age=2592000;');
    }
  });

  it('a session that is kept at a change of the password keeps the choice', async () => {
    for (const remember of [true, false]) {
      const cookie = cookieOf(await logIn(remember).expect(200));
      const keep = await t.app.get(SessionScheme).authenticate(cookie.slice(cookie.indexOf('=') + 1));
      const changed = await t.app
        .get(PasswordChangeService)
        .changePassword(id, PASSWORD, PASSWORD, { keep: keep!.session });
      const ttl = (remember ? REMEMBERED : LIFETIMES).ttl;
      expect(changed.credential).toMatchObject({ persistent: remember, expiresAt: t.clock.now() + ttl });
    }
  });

  it('refuses a choice that is none, at both routes', async () => {
    for (const route of ['login', 'token']) {
      for (const remember of ['yes', 1, null, 'true', []]) {
        const sent = { email, password: PASSWORD, remember };
        const { body } = await request(t.url).post(`/auth/${route}`).send(sent).expect(422);
        expect(body.fields).toEqual({ remember: 'must be true or false' });
      }
    }
  });
});

describe.each(PLATFORMS)('remember me, with stored sessions on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: { session: { ...LIFETIMES, remembered: REMEMBERED } } });

  it('a bearer token has the lifetimes that its login chose', async () => {
    const { email } = await createUser(t.app);
    for (const remember of [true, false, undefined]) {
      const sent = { email, password: PASSWORD, remember };
      const { body } = await request(t.url).post('/auth/token').send(sent).expect(200);
      const { ttl } = remember ? REMEMBERED : LIFETIMES;
      expect(Date.parse(body.expiresAt as string)).toBe(t.clock.now() + ttl);
      const found = await t.app.get(SessionService).lookup(body.token as string);
      expect(found!.session.remembered).toBe(remember ?? false);
    }
  });

  it('the session that is kept while all others end stays remembered', async () => {
    const { id, email } = await createUser(t.app);
    const sessions = t.app.get(SessionService);
    const logIn = () => request(t.url).post('/auth/login').send({ email, password: PASSWORD, remember: true });
    const cookie = cookieOf(await logIn().expect(200));
    const other = cookieOf(await logIn().expect(200));
    const tokenOf = (pair: string) => pair.slice(pair.indexOf('=') + 1);
    const { session } = (await sessions.lookup(tokenOf(cookie)))!;
    expect(await sessions.revokeAllForUser(id, { except: session })).toBe(1);
    expect(await sessions.lookup(tokenOf(other))).toBeNull();
    expect((await sessions.lookup(tokenOf(cookie)))!.session).toEqual({ ...session, remembered: true });
  });
});

describe('remember me, without the option', () => {
  const t = sharedTestApp();

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
