import { beforeEach, describe, expect, it } from '@jest/globals';
import { minutes, PostgresUserDirectory, SessionService, type AuthUser } from 'nestjs-latchkey';
import { LoginService } from 'nestjs-latchkey/flows';
import { signInAs, totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../../support/app.js';
import { LinkBrowser } from '../../support/magic-link.js';
import { SESSION } from '../../support/mailed-codes.js';
import { sharedTestApp } from '../../support/shared-app.js';
import { cookiesIn, enrol, pastTheLimits, pendingLogin, TWO_FACTOR } from '../../support/two-factor.js';
import { SamlController } from '../../support/saml.js';

const flows = {
  twoFactor: { totp: {}, backupCodes: { count: 4 }, required: ({ roles = [] }: AuthUser) => roles.includes('admin') },
  stepUp: {},
  magicLink: {},
};

describe.each(PLATFORMS)('a second factor that is required, on %s', (platform) => {
  const t = sharedTestApp({ platform, controllers: [SamlController], auth: { ...TWO_FACTOR, flows } });
  let ada: AuthUser;
  beforeEach(async () => {
    t.clock.advance(pastTheLimits);
    ada = await createUser(t.app);
    await t.app.get(PostgresUserDirectory).setRoles(ada.id, ['admin']);
    ada = (await t.app.get(PostgresUserDirectory).findById(ada.id))!;
  });

  const post = (path: string, cookie: string, body: object = {}) =>
    request(t.url).post(`/auth/${path}`).set('Cookie', cookie).send(body);
  const setUp = async (token: string, challenge: string) =>
    (await post('2fa/totp/setup', challenge, { token }).expect(200)).body.secret as string;

  it.each(['/auth/login', '/auth/token', '/own/saml'])(
    'F11: %s opens no session before one is enrolled',
    async (way) => {
      const answer = await request(t.url).post(way).send({ email: ada.email, password: PASSWORD });
      expect([200, 201]).toContain(answer.status);
      expect(answer.body).toMatchObject({ status: 'enrolment_required', token: expect.any(String) });
      expect(cookiesIn(answer).replaceAll(/__Host-session-2fa=[\w-]+/g, '')).toBe('');
      await request(t.url).get('/auth/session').set('Cookie', cookiesIn(answer)).expect(401);
      await request(t.url).get('/auth/session').set('Authorization', `Bearer ${answer.body.token}`).expect(401);
    },
  );

  it('F11: nor does a mailed link', async () => {
    const browser = new LinkBrowser(t);
    const { token } = await browser.ask(ada.email);
    const answer = await browser.confirm({ token });
    expect([answer.status, answer.body]).toMatchObject([200, { status: 'enrolment_required' }]);
    expect(browser.cookie(SESSION)).toBeUndefined();
    expect((await browser.send('get', 'session')).status).toBe(401);
  });

  it.each([['oidc'], ['saml'], ['magic-link'], ['passkey-presence'], ['own-login']])(
    'F11: nor does a login by the proof of %s, by cookie or as a bearer',
    async (proof) => {
      for (const transport of ['cookie', 'bearer'] as const) {
        const login = await t.app.get(LoginService).begin(ada, [proof], { transport });
        expect(login).toMatchObject({ status: 'enrolment_required', token: expect.any(String) });
        expect(login).not.toHaveProperty('session');
      }
      expect(await t.app.get(SessionService).listForUser(ada.id)).toEqual([]);
    },
  );

  it('F11: nor do the services themselves', async () => {
    expect(await t.app.get(LoginService).begin(ada, ['password'])).toMatchObject({ status: 'enrolment_required' });
    await expect(signInAs(t.app, ada.id)).rejects.toThrow(/must enrol a second factor/);
  });

  it('whoever needs none logs in', async () => {
    const bob = await createUser(t.app);
    expect((await pendingLogin(t, bob)).body['status']).toBe('authenticated');
  });

  it('enrols one within the login, which completes it with two factors', async () => {
    const { body, token, challenge } = await pendingLogin(t, ada);
    expect(Object.keys(body).toSorted()).toEqual(['expiresAt', 'status', 'token']);
    const secret = await setUp(token, challenge);
    const code = totpOf(secret, t.clock);
    const done = await post('2fa/totp/enable', challenge, { token, code }).expect(200);
    expect(done.body).toMatchObject({ status: 'authenticated', user: { id: ada.id } });
    expect(done.body.backupCodes).toHaveLength(4);
    const { session } = (await request(t.url).get('/auth/session').set('Cookie', cookiesIn(done)).expect(200)).body;
    expect(session).toMatchObject({ aal: 2, amr: ['password', 'totp'] });
    await post('2fa/totp/enable', challenge, { token, code }).expect(401);
    // F49: the code of the enrolment has been used.
    const next = await pendingLogin(t, ada);
    expect(next.body['status']).toBe('second_factor');
    await post('2fa/verify', next.challenge, { token: next.token, method: 'totp', code }).expect(401);
  });

  it('gives a client without cookies its token', async () => {
    const answer = await request(t.url).post('/auth/token').send({ email: ada.email, password: PASSWORD }).expect(200);
    const { token } = answer.body as { token: string };
    const secret = await setUp(token, 'x=y');
    const done = await post('2fa/totp/enable', 'x=y', { token, code: totpOf(secret, t.clock) }).expect(200);
    expect(done.get('Set-Cookie')).toBeUndefined();
    const bearer = `Bearer ${done.body.token}`;
    expect((await request(t.url).get('/auth/session').set('Authorization', bearer).expect(200)).body.session.aal).toBe(
      2,
    );
  });

  it('R4, F23: in its own browser only, once, and not if the account has a factor by now', async () => {
    const [one, other] = [await pendingLogin(t, ada), await pendingLogin(t, ada)];
    await post('2fa/totp/setup', other.challenge, { token: one.token }).expect(401);
    await post('2fa/totp/setup', 'x=y', { token: one.token }).expect(401);
    await post('2fa/verify', one.challenge, { token: one.token, method: 'totp', code: '000000' }).expect(401);
    const [first, second] = [await setUp(one.token, one.challenge), await setUp(other.token, other.challenge)];
    // The later one has voided the earlier one.
    await post('2fa/totp/enable', one.challenge, { token: one.token, code: totpOf(first, t.clock) }).expect(401);
    const code = totpOf(second, t.clock);
    await post('2fa/totp/enable', other.challenge, { token: other.token, code }).expect(200);
    await post('2fa/totp/setup', one.challenge, { token: one.token }).expect(401);
    await post('2fa/totp/enable', one.challenge, { token: one.token, code }).expect(401);
  });

  it('F25: not after a new password, a disabling or five minutes', async () => {
    for (const meanwhile of [
      () => t.app.get(PostgresUserDirectory).setPassword(ada.id, PASSWORD),
      async () => t.clock.advance(minutes(5)),
      () => t.app.get(PostgresUserDirectory).disable(ada.id),
    ]) {
      const { token, challenge } = await pendingLogin(t, ada);
      const secret = await setUp(token, challenge);
      await meanwhile();
      await post('2fa/totp/enable', challenge, { token, code: totpOf(secret, t.clock) }).expect(401);
    }
  });

  it('a function that returns a promise is a fault, not a yes or no', async () => {
    const broken = { twoFactor: { totp: {}, required: (async () => false) as never } };
    const other = await startTestApp({ platform, url: t.db.url, auth: { ...TWO_FACTOR, flows: broken } });
    try {
      const answer = await request(other.url).post('/auth/login').send({ email: ada.email, password: PASSWORD });
      expect(answer.status).toBe(500);
      expect(answer.get('Set-Cookie')).toBeUndefined();
    } finally {
      await other.close();
    }
  });

  it('once enrolled, the factor is asked for', async () => {
    const bob = await createUser(t.app);
    await enrol(t, bob);
    await t.app.get(PostgresUserDirectory).setRoles(bob.id, ['admin']);
    expect((await pendingLogin(t, bob)).body['status']).toBe('second_factor');
  });
});
