import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { minutes, type AuthUser } from 'nestjs-latchkey';
import { IdentityStore } from 'nestjs-latchkey/engine';
import { LoginService } from 'nestjs-latchkey/flows';
import { signInAs, totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PLATFORMS, startTestApp, type TestApp } from '../../support/app.js';
import { until } from '../../support/heard.js';
import { identityOf } from '../../support/identities.js';
import { callbackOf, fragmentOf, OidcBrowser, oidcAuth } from '../../support/oidc.js';
import { ORIGIN } from '../../support/passkeys.js';
import {
  BY_ED25519,
  startStubProvider,
  STUB_CLIENT,
  TAMPERINGS,
  type StubProvider,
  type Tampering,
} from '../../support/stub-provider.js';
import { enrol } from '../../support/two-factor.js';
import { startTestProvider, TEST_CLIENT, type TestProvider } from '../../support/test-provider.js';

const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} };

describe.each(PLATFORMS)('logouts at a provider on %s', (platform) => {
  let t: TestApp;
  let real: TestProvider;
  let stub: StubProvider;
  let edwards: StubProvider;
  let ada: AuthUser;
  /** Where the certified provider calls: the application has a port only later. */
  const backchannel = { url: '' };
  beforeAll(async () => {
    [stub, edwards] = await Promise.all([startStubProvider(), startStubProvider()]);
    real = await startTestProvider({
      redirectUris: [callbackOf('real')],
      postLogoutRedirectUris: [`${ORIGIN}/goodbye`],
      backchannelLogoutUri: `${ORIGIN}/auth/oidc/real/backchannel-logout`,
      fetch: (url: string | URL, options: RequestInit) => {
        const { pathname } = new URL(url);
        return fetch(`${backchannel.url}${pathname}`, options);
      },
    });
    const providers = [
      { id: 'real', issuer: real.issuer, ...TEST_CLIENT, signUp: true },
      { id: 'stub', issuer: stub.issuer, ...STUB_CLIENT },
      { id: 'edwards', issuer: edwards.issuer, ...STUB_CLIENT, algorithms: ['EdDSA'] },
      {
        id: 'plain',
        issuer: 'https://plain.example',
        clientId: 'notes',
        authorizationEndpoint: 'https://plain.example/auth',
        tokenEndpoint: 'https://plain.example/token',
        profile: () => Promise.reject(new Error('nobody asks')),
      },
    ];
    t = await startTestApp({ platform, auth: oidcAuth(providers), startAt: Date.now() });
    backchannel.url = t.url;
  });
  afterAll(async () => {
    await t?.close();
    await Promise.all([real?.close(), stub?.close(), edwards?.close()]);
  });
  beforeEach(async () => {
    stub.tamper({});
    ada = await createUser(t.app);
  });

  const isLive = async (cookie: string) =>
    (await request(t.url).get('/auth/session').set('Cookie', cookie)).status === 200;
  const post = (token: unknown, provider = 'stub') =>
    request(t.url).post(`/auth/oidc/${provider}/backchannel-logout`).type('form').send({ logout_token: token });
  const logoutOf = (sub: string, more: object = {}) => {
    const iat = Math.floor(t.clock.now() / 1000);
    const claims = { iss: stub.issuer, aud: 'notes', iat, exp: iat + 120, jti: randomUUID(), sub, events: EVENTS };
    return stub.signedBy({ ...claims, ...more });
  };
  const linked = async (user: AuthUser) => {
    const identity = identityOf(user, { provider: 'stub', issuer: stub.issuer });
    await t.app.get(IdentityStore).add(identity);
    return identity.subject;
  };

  it('Back-Channel Logout: a certified provider ends what was begun at it, when its user logs out there', async () => {
    const sub = randomUUID();
    const there = real.browserOf({ sub, email: `${sub}@example.com`, email_verified: true });
    const here = new OidcBrowser(t);
    await here.back((await there.logIn(await here.start('real'))).url);
    expect((await here.get('session')).status).toBe(200);
    const page = await request(t.url).post('/auth/oidc/real/logout').send({ returnTo: '/goodbye' }).expect(200);
    const { url } = page.body as { url: string };
    // Without cookies nothing has ended here yet: it is the provider that ends it.
    expect((await here.get('session')).status).toBe(200);
    expect(await there.logOut(url)).toBe(`${ORIGIN}/goodbye`);
    await until(async () => (await here.get('session')).status === 401);
  });

  it('RP-Initiated Logout: ends the session here, and leads to the page of the provider', async () => {
    const cookie = await signInAs(t.app, ada.id);
    const answer = await request(t.url)
      .post('/auth/oidc/real/logout')
      .set({ Cookie: cookie, Accept: 'text/html' })
      .type('form')
      .send({ returnTo: '/goodbye' });
    expect(answer.status).toBe(303);
    const url = new URL(answer.get('Location')!);
    expect(url.origin).toBe(real.issuer);
    expect(Object.fromEntries(url.searchParams)).toEqual({
      client_id: 'notes',
      post_logout_redirect_uri: `${ORIGIN}/goodbye`,
    });
    expect(answer.get('Set-Cookie')!.some((set) => set.startsWith('__Host-session=;'))).toBe(true);
    expect(await isLive(cookie)).toBe(false);
  });

  it('RP-Initiated Logout: tells the provider whom it is about, by their address there, and nobody else', async () => {
    const identity = identityOf(ada, { provider: 'real', issuer: real.issuer, email: 'ada@there.example' });
    await t.app.get(IdentityStore).add(identity);
    const hintOf = async (cookie: string) => {
      const answer = await request(t.url).post('/auth/oidc/real/logout').set('Cookie', cookie).send({}).expect(200);
      return new URL((answer.body as { url: string }).url).searchParams.get('logout_hint');
    };
    const cookie = await signInAs(t.app, ada.id);
    expect(await hintOf(cookie)).toBe('ada@there.example');
    // It has ended by now, and somebody else has no identity there.
    expect(await hintOf(cookie)).toBeNull();
    expect(await hintOf(await signInAs(t.app, (await createUser(t.app)).id))).toBeNull();
  });

  it('RP-Initiated Logout: a provider without such a page, or none at all, does not keep anybody logged in', async () => {
    const away: Tampering = { respond: (_, response) => Boolean(response.destroy()) };
    // Before what it says of itself is known.
    for (const tampering of [away, {}]) {
      stub.tamper(tampering);
      const cookie = await signInAs(t.app, ada.id);
      const logOut = request(t.url).post('/auth/oidc/stub/logout').set('Cookie', cookie).send({});
      expect((await logOut.expect(200)).body).toEqual({ url: `${ORIGIN}/` });
      expect(await isLive(cookie)).toBe(false);
    }
  });

  it('F20: it leads to no other place', async () => {
    for (const returnTo of ['https://evil.example', '//evil.example', '/\\evil.example', 'goodbye']) {
      const answer = await request(t.url).post('/auth/oidc/real/logout').send({ returnTo });
      expect([returnTo, answer.status]).toEqual([returnTo, 422]);
    }
    await request(t.url).post('/auth/oidc/none/logout').send({}).expect(404);
    const crossSite = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.example' };
    await request(t.url).post('/auth/oidc/real/logout').set(crossSite).send({}).expect(403);
  });

  it('ends the sessions that were begun or stepped up at a provider, and no other', async () => {
    const subject = await linked(ada);
    const bob = await createUser(t.app);
    const begun = await signInAs(t.app, ada.id, { proofs: ['oidc'] });
    const steppedUp = await signInAs(t.app, ada.id, { proofs: ['password', 'oidc-mfa'] });
    const byPassword = await signInAs(t.app, ada.id, { proofs: ['password'] });
    const another = await signInAs(t.app, bob.id, { proofs: ['oidc'] });
    const answer = await post(logoutOf(subject)).expect(200);
    expect(answer.get('Cache-Control')).toBe('no-store');
    expect(await Promise.all([begun, steppedUp, byPassword, another].map(isLive))).toEqual([false, false, true, true]);
  });

  it('R8: of 50 parallel calls with one token one is taken, and a later session goes on', async () => {
    const token = logoutOf(await linked(ada));
    const answers = await Promise.all(Array.from({ length: 50 }, () => post(token)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 400)).toHaveLength(49);
    const later = await signInAs(t.app, ada.id, { proofs: ['oidc'] });
    expect((await post(token)).body).toMatchObject({ code: 'LOGOUT_TOKEN_REFUSED' });
    expect(await isLive(later)).toBe(true);
  });

  it('ends a login that has begun there and is not completed yet', async () => {
    const subject = await linked(ada);
    const by = new OidcBrowser(t);
    const handed = async () => {
      const url = await by.start('stub', { exchange: 'browser' });
      const answer = await by.back(stub.authorize(url, { sub: subject }));
      return new URLSearchParams(answer.get('Location')!.split('#')[1]).get('exchange')!;
    };
    expect((await by.post('oidc/exchange', { token: await handed() })).status).toBe(200);
    const token = await handed();
    await post(logoutOf(subject)).expect(200);
    expect((await by.post('oidc/exchange', { token })).body.code).toBe('LOGIN_EXPIRED');
  });

  it('refuses what is no logout token of this provider, and nothing ends', async () => {
    const subject = await linked(ada);
    const begun = await signInAs(t.app, ada.id, { proofs: ['oidc'] });
    const refused = [
      logoutOf(subject, { iss: real.issuer }),
      logoutOf(subject, { aud: 'else' }),
      logoutOf(subject, { nonce: 'n' }),
      logoutOf(subject, { events: {} }),
      logoutOf(subject, { iat: 1_000, exp: 2_000 }),
      `${logoutOf(subject).slice(0, -8)}AAAAAAAA`,
      'x.y.z',
      ['{"alg":"RS256","typ":"JWT"}', 'no JSON', 'x'].map((part) => Buffer.from(part).toString('base64url')).join('.'),
      '',
    ];
    for (const token of refused) expect((await post(token)).status).toBe(400);
    await post(logoutOf(subject), 'real').expect(400);
    await post(logoutOf(subject), 'plain').expect(404);
    await post(logoutOf(subject), 'none').expect(404);
    await request(t.url).post('/auth/oidc/stub/backchannel-logout').send({}).expect(422);
    expect(await isLive(begun)).toBe(true);
    // Of somebody unknown there is nothing to end.
    await post(logoutOf('nobody')).expect(200);
    expect(await isLive(begun)).toBe(true);
    // Negative control: with a member that is unknown here.
    await post(logoutOf(subject)).send({ more: 'x' }).expect(200);
    expect(await isLive(begun)).toBe(false);
  });

  it('F59: takes a logout token by EdDSA of a provider for which that is chosen, and there no other', async () => {
    const identity = identityOf(ada, { provider: 'edwards', issuer: edwards.issuer });
    await t.app.get(IdentityStore).add(identity);
    const begun = await signInAs(t.app, ada.id, { proofs: ['oidc'] });
    const made = () => {
      const iat = Math.floor(t.clock.now() / 1000);
      const claims = {
        iss: edwards.issuer,
        aud: 'notes',
        iat,
        jti: randomUUID(),
        sub: identity.subject,
        events: EVENTS,
      };
      return edwards.signedBy(claims);
    };
    for (const tampering of [{}, TAMPERINGS['alg none']!, TAMPERINGS['HS256 with the public key']!]) {
      edwards.tamper(tampering);
      expect((await post(made(), 'edwards')).body.code).toBe('LOGOUT_TOKEN_REFUSED');
    }
    edwards.tamper(BY_ED25519);
    await post(
      made().replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A')),
      'edwards',
    ).expect(400);
    expect(await isLive(begun)).toBe(true);
    await post(made(), 'edwards').expect(200);
    expect(await isLive(begun)).toBe(false);
    stub.tamper(BY_ED25519);
    await post(logoutOf(await linked(ada))).expect(400);
  });

  describe('by the session of the provider (sid)', () => {
    const TOTP_WAIT = minutes(1);
    let nth = 0;
    let sub: string;
    let claims: Record<string, unknown>;
    beforeEach(async () => {
      sub = `${platform}-sid-${++nth}`;
      claims = { sub, email: `${sub}@example.com`, email_verified: true };
      t.clock.set(Date.now());
      await t.app.get(IdentityStore).add(identityOf(ada, { provider: 'stub', issuer: stub.issuer, subject: sub }));
    });
    const logIn = async (sid?: string, more: object = {}) => {
      const by = new OidcBrowser(t);
      await by.back(stub.authorize(await by.start('stub'), { ...claims, ...(sid && { sid }), ...more }));
      return by;
    };
    const live = (browsers: readonly OidcBrowser[]) =>
      Promise.all(browsers.map(async (by) => (await by.get('session')).status === 200));
    const end = (ended: object) => post(logoutOf(sub, ended)).expect(200);

    it('ends what it has begun, and what is not known of; what another one has begun goes on', async () => {
      const [one, again, two, unnamed] = [await logIn('one'), await logIn('one'), await logIn('two'), await logIn()];
      const byPassword = new OidcBrowser(t, await signInAs(t.app, ada.id, { proofs: ['password'] }));
      const all = [one, again, two, unnamed, byPassword];
      await end({ sid: 'one' });
      expect(await live(all)).toEqual([false, false, true, false, true]);
      // Negative control: without it all of the user.
      await end({});
      expect(await live(all)).toEqual([false, false, false, false, true]);
    });

    it('without the user it ends what it has begun, what of that user is not known, and nothing of anybody else', async () => {
      const [one, two, unnamed] = [await logIn('one'), await logIn('two'), await logIn()];
      const eve = await createUser(t.app);
      const other = { sub: `${sub}-eve` };
      await t.app
        .get(IdentityStore)
        .add(identityOf(eve, { provider: 'stub', issuer: stub.issuer, subject: other.sub }));
      const theirs = await logIn('of eve', other);
      await end({ sub: undefined, sid: 'one' });
      expect(await live([one, two, unnamed, theirs])).toEqual([false, true, false, true]);
      await end({ sub: undefined, sid: 'unknown' });
      expect(await live([two, theirs])).toEqual([true, true]);
      // The name of the user decides, not that of a session of somebody else.
      await end({ sid: 'of eve' });
      expect(await live([two, theirs])).toEqual([true, true]);
    });

    it('also with a session that was rotated, stepped up there, or exchanged', async () => {
      const rotated = await logIn('one');
      const cookie = await t.app.get(LoginService).rotate(rotated.session!);
      rotated.cookies.set('__Host-session', cookie!.value);
      const steppedUp = new OidcBrowser(t, await signInAs(t.app, ada.id, { proofs: ['password'] }));
      const now = Math.floor(t.clock.now() / 1000);
      const asked = await steppedUp.start('stub', {}, 'step-up/oidc/stub');
      await steppedUp.back(stub.authorize(asked, { ...claims, auth_time: now, sid: 'one' }));
      const exchanged = new OidcBrowser(t);
      const handed = await exchanged.back(
        stub.authorize(await exchanged.start('stub', { exchange: 'browser' }), { ...claims, sid: 'one' }),
      );
      await exchanged.post('oidc/exchange', { token: fragmentOf(handed)['exchange'] });
      const all = [rotated, steppedUp, exchanged];
      await end({ sid: 'another' });
      expect(await live(all)).toEqual([true, true, true]);
      await end({ sub: undefined, sid: 'one' });
      expect(await live(all)).toEqual([false, false, false]);
    });

    it('also with a session that a second factor has completed', async () => {
      const { secret } = await enrol(t, ada);
      const now = Math.floor(t.clock.now() / 1000);
      t.clock.advance(TOTP_WAIT);
      const second = new OidcBrowser(t);
      const times = { iat: now + 60, exp: now + 360, auth_time: now + 60 };
      const due = fragmentOf(
        await second.back(stub.authorize(await second.start('stub'), { ...claims, ...times, sid: 'one' })),
      );
      const code = totpOf(secret, t.clock);
      await second.post('2fa/verify', { token: due['token'], method: 'totp', code });
      await end({ sid: 'another' });
      expect(await live([second])).toEqual([true]);
      await end({ sub: undefined, sid: 'one' });
      expect(await live([second])).toEqual([false]);
    });

    it.each([
      ['sid', { sub: undefined }],
      ['sub and sid', {}],
      ['sub', { sid: undefined }],
    ])('ends a login that is held for its second factor, or for a page, by %s', async (_, named) => {
      const handed = async (sid: string) => {
        const by = new OidcBrowser(t);
        const url = await by.start('stub', { exchange: 'browser' });
        const { exchange: token } = fragmentOf(await by.back(stub.authorize(url, { ...claims, sid })));
        return () => by.post('oidc/exchange', { token });
      };
      const kept = await handed('kept');
      await end({ sub: undefined, sid: 'another' });
      expect((await kept()).body.status).toBe('authenticated');
      const ended = await handed('held');
      await end({ sid: 'held', ...named });
      expect((await ended()).body.code).toBe('LOGIN_EXPIRED');

      const { secret } = await enrol(t, ada);
      const now = Math.floor(t.clock.now() / 1000);
      const held = async (after: number, sid: string) => {
        const by = new OidcBrowser(t);
        const times = { iat: now + after, exp: now + after + 300, auth_time: now + after };
        t.clock.set((now + after) * 1000);
        const { token } = fragmentOf(
          await by.back(stub.authorize(await by.start('stub'), { ...claims, ...times, sid })),
        );
        return () => by.post('2fa/verify', { token, method: 'totp', code: totpOf(secret, t.clock) });
      };
      const second = await held(60, 'second');
      await end({ sub: undefined, sid: 'another' });
      expect((await second()).body.status).toBe('authenticated');
      const third = await held(120, 'third');
      await end({ sid: 'third', ...named });
      expect((await third()).body.code).toBe('SECOND_FACTOR_REFUSED');
    });

    it('R8: of 50 completions beside a logout by sid none leaves a session', async () => {
      const by = new OidcBrowser(t);
      const url = await by.start('stub', { exchange: 'browser' });
      const { exchange: token } = fragmentOf(await by.back(stub.authorize(url, { ...claims, sid: 'held' })));
      const completions = Array.from({ length: 50 }, () => by.post('oidc/exchange', { token }));
      const [answers] = await Promise.all([Promise.all(completions), end({ sub: undefined, sid: 'held' })]);
      expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1);
      expect(await live([by])).toEqual([false]);
    });

    it('keeps no name of a session at the provider, and no more than the last sessions', async () => {
      await logIn('a-sid');
      const stored = async (): Promise<{ at: number }[]> => {
        const rows: unknown[] = await t.db.query(`SELECT provider_sessions FROM auth_identities WHERE subject = $1`, [
          sub,
        ]);
        return (rows[0] as { provider_sessions: { at: number }[] }).provider_sessions;
      };
      expect(JSON.stringify(await stored())).not.toContain('a-sid');
      const store = t.app.get(IdentityStore);
      const of = { userId: ada.id, issuer: stub.issuer, subject: sub };
      for (let at = 1; at <= 5; at++) {
        await store.recordSession(of, { session: `s${at}`, handle: randomUUID(), at }, { since: 1, most: 3 });
      }
      expect((await stored()).map(({ at }) => at)).toEqual([4, 5, expect.any(Number)]);
      // The same one again takes no place of another.
      for (const at of [6, 7]) await store.recordSession(of, { session: 's', handle: 'h', at }, { since: 1, most: 4 });
      expect((await stored()).map(({ at }) => at)).toEqual([4, 5, 7, expect.any(Number)]);
    });
  });
});
