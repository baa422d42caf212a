import { beforeEach, describe, expect, it } from '@jest/globals';
import { minutes, UserDirectory, type AuthUser } from 'nestjs-latchkey';
import { IdentityStore, PasskeyStore } from 'nestjs-latchkey/engine';
import { LoginService } from 'nestjs-latchkey/flows';
import { MemoryMailer, signInAs, totpOf } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { TrustedBrowsers } from '../../../src/login/trusted-browsers.js';
import { createUser, PASSWORD, PLATFORMS } from '../../support/app.js';
import { SoftwareAuthenticator } from '../../support/authenticator.js';
import { TWO_FACTOR_FLOW } from '../../support/flows.js';
import { codeTo, MAILED_CODES, mailCodesTo, SESSION } from '../../support/mailed-codes.js';
import { identityOf, OIDC } from '../../support/identities.js';
import { ORIGIN, PASSKEYS, PasskeyClient } from '../../support/passkeys.js';
import { sharedTestApp } from '../../support/shared-app.js';
import { cookiesIn, enrol } from '../../support/two-factor.js';

type Headers = Readonly<Record<string, string>>;
type Send = (method: 'get' | 'post' | 'delete', path: string, body?: object) => Promise<Response>;

const ALL = ['password', 'totp', 'email-code', 'passkey-presence'];

describe.each(PLATFORMS)('changes of factors where sessions are JWTs, on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    auth: {
      ...MAILED_CODES,
      baseUrl: PASSKEYS.baseUrl,
      flows: { ...PASSKEYS.flows, ...OIDC.flows, twoFactor: TWO_FACTOR_FLOW },
      jwt: { sessions: true },
    },
  });
  let ada: AuthUser;
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    ada = await createUser(t.app);
  });

  const jwt = async ({ id } = ada): Promise<Headers> => {
    // As it is now: with what comes before, everything of it has ended once.
    const user = (await t.app.get(UserDirectory).findById(id))!;
    const login = await t.app.get(LoginService).begin(user, ALL, { transport: 'bearer' });
    if (login.status !== 'authenticated') throw new Error(`The login is held: ${login.status}.`);
    return { authorization: `Bearer ${login.credential.value}` };
  };
  const cookie = async (): Promise<Headers> => ({ cookie: await signInAs(t.app, ada.id, { proofs: ALL }) });
  const status = async (headers: Headers) => (await request(t.url).get('/auth/session').set(headers)).status;
  const sending =
    (headers: Headers): Send =>
    (method, path, body = method === 'get' ? undefined : {}) =>
      request(t.url)[method](`/auth/${path}`).set(headers).send(body);

  /** Each change, and what has to be there before it. */
  const CHANGES: [string, () => Promise<(send: Send) => Promise<Response>>][] = [
    [
      'turning codes by mail on',
      async () => async (send) => {
        await send('post', '2fa/email/enable');
        return send('post', '2fa/email/enable/confirm', { code: await codeTo(t, ada, 'email_code_setup') });
      },
    ],
    [
      'turning them off',
      async () => {
        await mailCodesTo(t, ada);
        return (send) => send('post', '2fa/email/disable');
      },
    ],
    [
      'adding a passkey',
      async () => async (send) => {
        const { body: options } = await send('post', 'passkeys/options');
        const answer = await send('post', 'passkeys', {
          response: new SoftwareAuthenticator(ORIGIN).register(options),
        });
        expect(answer.body).toMatchObject({ name: 'Passkey', lastUsedAt: null });
        expect(answer.body).not.toHaveProperty('credential');
        return answer;
      },
    ],
    [
      'removing a passkey',
      async () => {
        const { id } = await new PasskeyClient(t).register(ada);
        return (send) => send('delete', `passkeys/${id}`);
      },
    ],
    [
      'adding an authenticator app',
      async () => async (send) => {
        const { secret } = (await send('post', '2fa/totp/setup')).body as { secret: string };
        return send('post', '2fa/totp/enable', { code: totpOf(secret, t.clock) });
      },
    ],
    [
      'removing it',
      async () => {
        await enrol(t, ada);
        return (send) => send('post', '2fa/totp/disable');
      },
    ],
    [
      'unlinking an account at a provider',
      async () => {
        const identity = identityOf(ada);
        await t.app.get(IdentityStore).add(identity);
        return (send) => send('delete', `identities/${identity.id}`);
      },
    ],
    [
      'new backup codes',
      async () => {
        await enrol(t, ada);
        return (send) => send('post', '2fa/backup-codes');
      },
    ],
  ];

  describe.each(CHANGES)('F55: %s', (name, prepare) => {
    it('no browser is trusted any more', async () => {
      const change = await prepare();
      const trusted = t.app.get(TrustedBrowsers);
      // With another factor: of an account without one no browser is trusted.
      if (name === 'turning codes by mail on') await enrol(t, ada);
      else await mailCodesTo(t, ada);
      const user = (await t.app.get(UserDirectory).findById(ada.id))!;
      const { value } = (await trusted.trust(user, [], null))!;
      expect(await trusted.find(user, [value])).not.toBeNull();
      t.clock.advance(1);
      expect((await change(sending(await cookie()))).status).toBeLessThan(300);
      expect(await trusted.find((await t.app.get(UserDirectory).findById(ada.id))!, [value])).toBeNull();
    });

    it('ends the other sessions, JWTs among them, and this JWT goes on as another one', async () => {
      const change = await prepare();
      t.clock.advance(1);
      const [current, ...others] = [await jwt(), await jwt(), await cookie()];
      const bob = await jwt(await createUser(t.app));
      // Control: they are sessions until then.
      for (const one of [current, ...others]) expect(await status(one)).toBe(200);
      const answer = await change(sending(current));
      expect(answer.status).toBeLessThan(300);
      for (const one of [current, ...others]) expect(await status(one)).toBe(401);
      expect(answer.body).toMatchObject({ token: expect.any(String), tokenType: 'Bearer' });
      expect(answer.get('Set-Cookie')).toBeUndefined();
      expect(await status({ authorization: `Bearer ${answer.body.token}` })).toBe(200);
      expect(await status(bob)).toBe(200);
    });

    it('from a browser ends the JWTs too, and the browser stays logged in', async () => {
      const change = await prepare();
      t.clock.advance(1);
      const [current, other] = [await cookie(), await jwt()];
      const answer = await change(sending(current));
      expect(answer.status).toBeLessThan(300);
      expect(await status(other)).toBe(401);
      expect(await status(current)).toBe(401);
      expect(answer.body).not.toHaveProperty('token');
      expect(cookiesIn(answer)).toContain(SESSION);
      expect(await status({ cookie: cookiesIn(answer) })).toBe(200);
    });
  });

  describe.each(['login', 'token'])('F55, F57: a factor that has to be enrolled within POST %s', (path) => {
    it('ends the JWTs and sessions that are older, and opens one of two factors', async () => {
      ada = await createUser(t.app, `must-enrol-${path}-${platform}@example.com`);
      const [older, olderCookie] = [await jwt(), await cookie()];
      t.clock.advance(minutes(1));
      const held = await request(t.url).post(`/auth/${path}`).send({ email: ada.email, password: PASSWORD });
      expect(held.body).toMatchObject({ status: 'enrolment_required' });
      const { token } = held.body as { token: string };
      const send = sending({ cookie: cookiesIn(held) });
      const { secret } = (await send('post', '2fa/totp/setup', { token })).body as { secret: string };
      for (const one of [older, olderCookie]) expect(await status(one)).toBe(200);
      const done = await send('post', '2fa/totp/enable', { token, code: totpOf(secret, t.clock) });
      expect(done.body).toMatchObject({ status: 'authenticated', user: { id: ada.id } });
      for (const one of [older, olderCookie]) expect(await status(one)).toBe(401);
      const next: Headers =
        path === 'token' ? { authorization: `Bearer ${done.body.token}` } : { cookie: cookiesIn(done) };
      const { body } = await sending(next)('get', 'step-up');
      expect(body).toMatchObject({ aal: 2, amr: ['password', 'totp'] });
      // Of any number of uses one is.
      expect((await send('post', '2fa/totp/enable', { token, code: totpOf(secret, t.clock) })).status).toBe(401);
    });
  });

  it('F46: the link about the first factor takes it back, though all that was before has ended', async () => {
    const current = sending(await jwt());
    const { body: options } = await current('post', 'passkeys/options');
    const response = new SoftwareAuthenticator(ORIGIN).register(options);
    const { token: bearer } = (await current('post', 'passkeys', { response })).body as { token: string };
    const { token } = (await MemoryMailer.of(t.app)).last('first_factor_added');
    t.clock.advance(1);
    await request(t.url).post('/auth/revert-factor').send({ token }).expect(200);
    expect(await status({ authorization: `Bearer ${bearer}` })).toBe(401);
    expect(await t.app.get(PasskeyStore).listByUser(ada.id)).toEqual([]);
  });

  it('F82: a JWT that goes on after a change is as fresh as its proof was', async () => {
    await enrol(t, ada);
    t.clock.advance(1);
    const first = await jwt();
    const { authenticatedAt } = (await sending(first)('get', 'step-up')).body as { authenticatedAt: string };
    t.clock.advance(minutes(14));
    const { body } = await sending(first)('post', '2fa/backup-codes');
    const next = sending({ authorization: `Bearer ${body.token}` });
    expect((await next('get', 'step-up')).body).toMatchObject({ aal: 2, authenticatedAt });
    t.clock.advance(minutes(1));
    const refused = await next('post', '2fa/backup-codes');
    expect(refused.body).toMatchObject({ code: 'STEP_UP_REQUIRED', required: { maxAge: 900 } });
  });

  it('F55: turning codes by mail off that are off ends nothing', async () => {
    const [current, other] = [await jwt(), await jwt()];
    const { body } = await sending(current)('post', '2fa/email/disable');
    expect(body).toEqual({ message: 'Codes by mail are off.' });
    expect([await status(current), await status(other)]).toEqual([200, 200]);
  });
});
