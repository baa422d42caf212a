import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthEvents,
  hours,
  minutes,
  PostgresUserDirectory,
  SessionService,
  type AuthEvent,
  type AuthUser,
} from 'nestjs-latchkey';
import { MemoryMailer, signInAs, totpOf } from 'nestjs-latchkey/testing';
import { challengeOfVerifier } from '../../../src/oidc/oidc-requests.js';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../../support/app.js';
import { callbackOf, fragmentOf, OidcBrowser, oidcAuth } from '../../support/oidc.js';
import { startStubProvider, STUB_CLIENT, type StubProvider } from '../../support/stub-provider.js';
import { startTestProvider, TEST_CLIENT, type TestProvider } from '../../support/test-provider.js';
import { enrol } from '../../support/two-factor.js';

let real: TestProvider;
let stub: StubProvider;
let other: StubProvider;
let lenient: StubProvider;
let silent: StubProvider;
beforeAll(async () => {
  real = await startTestProvider({ redirectUris: [callbackOf('real')] });
  stub = await startStubProvider();
  other = await startStubProvider();
  lenient = await startStubProvider();
  silent = await startStubProvider();
});
afterAll(() => Promise.all([real?.close(), stub?.close(), other?.close(), lenient?.close(), silent?.close()]));

describe.each(PLATFORMS)('logins at providers on %s', (platform) => {
  let t: TestApp;
  const heard: AuthEvent[] = [];
  let nth = 0;
  let sub: string;
  let email: string;
  beforeAll(async () => {
    const providers = [
      { id: 'real', issuer: real.issuer, ...TEST_CLIENT, signUp: true },
      {
        id: 'stub',
        label: 'The stub',
        issuer: stub.issuer,
        ...STUB_CLIENT,
        signUp: true,
        assurance: ({ acr }: { readonly acr?: unknown }) => (acr === 'two' ? (2 as const) : (1 as const)),
      },
      { id: 'other', issuer: other.issuer, ...STUB_CLIENT, responseMode: 'form_post' as const },
      { id: 'lenient', issuer: lenient.issuer, ...STUB_CLIENT, signUp: true, freshWithoutAuthTime: true },
      { id: 'silent', issuer: silent.issuer, ...STUB_CLIENT, signUp: true, stepUp: false },
    ];
    t = await startTestApp({ platform, auth: oidcAuth(providers), startAt: Date.now() });
    t.app.get(AuthEvents).on((event) => void heard.push(event));
  });
  afterAll(() => t?.close());
  beforeEach(() => {
    sub = `${platform}-${++nth}`;
    email = `${sub}@example.com`;
  });

  const browser = (session?: string) => new OidcBrowser(t, session);
  const claims = (more = {}) => ({ sub, email, email_verified: true, ...more });
  /** From the start to the end; what the application answers at last. */
  const logIn = async (by: OidcBrowser, more = {}, body = {}) =>
    by.back(stub.authorize(await by.start('stub', body), claims(more)));
  const told = (answer: { get(name: string): string | undefined; status: number }) => [
    answer.status,
    answer.get('Location'),
  ];
  const state = async (by: OidcBrowser) =>
    (await by.get('session')).body as { user: AuthUser; session: { amr: string[] } };
  const users = () => t.app.get(PostgresUserDirectory);

  it('F61: a certified provider: a new account, and the same one when the address has changed there', async () => {
    const ada = { sub, email, email_verified: true, name: 'Ada' };
    const first = browser();
    const answer = await first.back(
      (await real.browserOf(ada).logIn(await first.start('real', { returnTo: '/notes' }))).url,
    );
    expect(told(answer)).toEqual([303, '/notes']);
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' });
    const { user, session } = await state(first);
    expect([user.email, session]).toEqual([email, expect.objectContaining({ aal: 1, amr: ['oidc'] })]);
    expect(await users().findPasswordHash(user.id)).toBe('!');
    expect(await users().findById(user.id)).toMatchObject({ emailVerifiedAt: t.clock.now(), roles: [] });
    const second = browser();
    const moved = real.browserOf({ ...ada, email: `moved-${email}` });
    await second.back((await moved.logIn(await second.start('real'))).url);
    expect((await state(second)).user.id).toBe(user.id);
    const [identity] = (await second.get('identities')).body;
    expect(identity).toMatchObject({ provider: 'real', label: 'real', email: `moved-${email}` });
  });

  it('F66: only a page of ours begins a login; a form is sent to the provider', async () => {
    const by = browser();
    expect((await by.get('oidc/stub/start')).status).toBe(404);
    expect((await by.post('oidc/stub/start', {}, { 'Sec-Fetch-Site': 'cross-site' })).body.code).toBe(
      'CROSS_ORIGIN_REQUEST',
    );
    expect((await by.post('oidc/none/start')).body.code).toBe('PROVIDER_NOT_FOUND');
    for (const body of [{ returnTo: '//evil.example' }, { returnTo: 'https://spa.example.com/' }, { userId: '1' }]) {
      expect((await by.post('oidc/stub/start', body)).status).toBe(422);
    }
    const form = await by.post('oidc/stub/start', {}, { Accept: 'text/html' });
    const asked = new URL(form.get('Location')!);
    expect([form.status, asked.origin]).toEqual([303, stub.issuer]);
    expect(Object.fromEntries(asked.searchParams)).toMatchObject({
      redirect_uri: callbackOf('stub'),
      code_challenge_method: 'S256',
      nonce: expect.stringMatching(/^[\w-]{43}$/),
    });
    expect((await by.get('oidc')).body).toContainEqual({ id: 'stub', label: 'The stub' });
  });

  it('F58, F60: an answer counts once, in its browser, at its provider, for ten minutes', async () => {
    const by = browser();
    const url = stub.authorize(await by.start('stub'), claims());
    const expired = [303, '/login?error=LOGIN_EXPIRED'];
    expect(told(await browser().back(url))).toEqual(expired);
    const attempts = await Promise.all(Array.from({ length: 50 }, () => by.back(url)));
    expect(attempts.filter((answer) => answer.get('Location') === '/')).toHaveLength(1);
    expect(attempts.filter((answer) => answer.get('Location') === expired[1])).toHaveLength(49);
    const { user } = await state(by);
    expect(await t.app.get(SessionService).listForUser(user.id)).toHaveLength(1);
    const mixed = stub.authorize(await by.start('stub'), claims());
    expect(told(await by.back(mixed.replace('/stub/', '/other/')))).toEqual(expired);
    expect(told(await by.back(mixed))).toEqual(expired);
    const late = stub.authorize(await by.start('stub'), claims());
    t.clock.advance(minutes(10));
    expect(told(await by.back(late))).toEqual(expired);
    t.clock.set(Date.now());
  });

  it('F69: a page is told a code of ours, whatever the provider says', async () => {
    const by = browser();
    const url = new URL(stub.authorize(await by.start('stub')));
    url.searchParams.delete('code');
    url.searchParams.set('error', 'access_denied');
    url.searchParams.set('error_description', '<script>alert(1)</script>\r\nX: y');
    const answer = await by.back(url.href);
    expect(told(answer)).toEqual([303, '/login?error=PROVIDER_REFUSED']);
    expect(answer.text).not.toContain('script');
  });

  it('F62: an address enters no account that there is, and only true verifies one', async () => {
    const ada = await createUser(t.app);
    expect(told(await logIn(browser(), { email: ada.email }))).toEqual([303, '/login?error=ACCOUNT_EXISTS']);
    for (const email_verified of ['true', 1, undefined, ['true']]) {
      // F14: the same of an address that an account has.
      for (const claimed of [email, ada.email]) {
        const answer = await logIn(browser(), { email: claimed, email_verified });
        expect(told(answer)).toEqual([303, '/login?error=EMAIL_NOT_VERIFIED']);
      }
    }
    const by = browser();
    const closed = new URL(other.authorize(await by.start('other'), claims()));
    expect(told(await by.back(closed.href))).toEqual([303, '/login?error=NO_ACCOUNT']);
    expect(await users().findByLogin(email)).toBeNull();
  });

  it('form_post: comes from another site without cookies, and is sent on to where they are', async () => {
    const user = await createUser(t.app);
    const linking = browser(await signInAs(t.app, user.id));
    const begin = await linking.start('other', { returnTo: '/account' }, 'oidc/other/link');
    expect(new URL(begin).searchParams.get('response_mode')).toBe('form_post');
    const answer = new URL(other.authorize(begin, claims()));
    const form = { ...Object.fromEntries(answer.searchParams), user: '{"name":"Ada"}' };
    const foreign = { 'Sec-Fetch-Site': 'cross-site', 'Content-Type': 'application/x-www-form-urlencoded' };
    const posted = await browser().post('oidc/other/callback', form, foreign);
    expect(posted.status).toBe(303);
    expect(new URL(posted.get('Location')!).searchParams.has('user')).toBe(false);
    expect(told(await linking.back(posted.get('Location')!))).toEqual([303, '/account']);
  });

  it('F11, F67: a second factor is due after it, unless the provider is worth two', async () => {
    const by = browser();
    await logIn(by);
    const { user } = await state(by);
    const { secret } = await enrol(t, user);
    const next = browser();
    const held = fragmentOf(await logIn(next, {}, { returnTo: '/notes' }));
    expect(held).toMatchObject({ status: 'second_factor', methods: 'totp', returnTo: '/notes' });
    expect(next.session).toBeUndefined();
    t.clock.advance(minutes(1));
    const code = totpOf(secret, t.clock);
    expect((await next.post('2fa/verify', { token: held['token'], method: 'totp', code })).status).toBe(200);
    expect((await state(next)).session.amr).toEqual(['oidc', 'totp']);
    t.clock.set(Date.now());
    const strong = browser();
    expect(told(await logIn(strong, { acr: 'two' }))).toEqual([303, '/']);
    expect((await state(strong)).session).toMatchObject({ aal: 2, amr: ['oidc-mfa'] });
    await t.db.query(`UPDATE users SET disabled_at = now() WHERE id = '${user.id}'`);
    expect(told(await logIn(browser(), { acr: 'two' }))).toEqual([303, '/login?error=INVALID_CREDENTIALS']);
  });

  it('F65: a page exchanges a token of its own for the session, once', async () => {
    const by = browser();
    const asked = await by.start('stub', { exchange: 'browser', returnTo: 'https://spa.example.com/in' });
    const answer = await by.back(stub.authorize(asked, claims()));
    expect(answer.get('Location')).toMatch(/^https:\/\/spa\.example\.com\/in#exchange=/);
    expect(by.session).toBeUndefined();
    const token = fragmentOf(answer)['exchange']!;
    const state = new URL(asked).searchParams.get('state')!;
    expect((await by.post('oidc/exchange', { token: state })).body.code).toBe('LOGIN_EXPIRED');
    expect((await browser().post('oidc/exchange', { token })).status).toBe(401);
    const all = await Promise.all(Array.from({ length: 5 }, () => by.post('oidc/exchange', { token })));
    expect(all.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 401, 401, 401, 401]);

    const verifier = 'v'.repeat(43);
    const app = browser();
    const begun = await app.start('stub', { exchange: challengeOfVerifier(verifier) });
    const handed = fragmentOf(await app.back(stub.authorize(begun, claims())))['exchange']!;
    const exchange = (proof: object) =>
      browser().post('oidc/exchange', { token: handed, transport: 'bearer', ...proof });
    expect((await exchange({ verifier: 'w'.repeat(43) })).status).toBe(401);
    expect((await app.post('oidc/exchange', { token: handed })).status).toBe(401);
    const { body } = await exchange({ verifier });
    expect(body).toMatchObject({ status: 'authenticated', tokenType: 'Bearer', user: { email } });
    expect((await browser().get('session', { Authorization: `Bearer ${body.token}` })).status).toBe(200);
  });

  it('F63, F64: a link is for the session that has asked, which is fresh; the last way in stays', async () => {
    const [ada, eve] = [await createUser(t.app), await createUser(t.app)];
    const evil = browser(await signInAs(t.app, eve.id));
    const url = stub.authorize(await evil.start('stub', {}, 'oidc/stub/link'), claims());
    const victim = browser(await signInAs(t.app, ada.id));
    expect(told(await victim.back(url))).toEqual([303, '/login?error=LOGIN_EXPIRED']);
    // Also with the cookie of the flow, which a page of a neighbouring domain may have set.
    victim.cookies.set('__Host-session-oidc', evil.cookies.get('__Host-session-oidc')!);
    expect(told(await victim.back(url))).toEqual([303, '/login?error=LOGIN_EXPIRED']);
    expect((await victim.get('identities')).body).toEqual([]);
    const stale = browser(await signInAs(t.app, ada.id, { authenticatedAt: t.clock.now() - hours(1) }));
    expect((await stale.post('oidc/stub/link')).body.code).toBe('STEP_UP_REQUIRED');
    expect((await stale.get('oidc/stub/link')).status).toBe(404);

    const own = browser(await signInAs(t.app, ada.id));
    (await MemoryMailer.of(t.app)).sent.splice(0);
    const link = async () => own.back(stub.authorize(await own.start('stub', {}, 'oidc/stub/link'), claims()));
    expect([told(await link()), told(await link())]).toEqual([
      [303, '/'],
      [303, '/'],
    ]);
    const sent = (await MemoryMailer.of(t.app)).sent.map(({ kind, to }) => [kind, to.address]);
    expect(sent).toEqual([['identity_linked', ada.email]]);
    const theirs = browser(await signInAs(t.app, eve.id));
    const again = stub.authorize(await theirs.start('stub', {}, 'oidc/stub/link'), claims());
    expect(told(await theirs.back(again))).toEqual([303, '/login?error=IDENTITY_IN_USE']);
    const [{ id }] = (await own.get('identities')).body;
    expect((await theirs.delete(`identities/${id}`)).body.code).toBe('IDENTITY_NOT_FOUND');
    await t.db.query(`UPDATE users SET password_hash = '!' WHERE id = '${ada.id}'`);
    expect((await own.delete(`identities/${id}`)).body.code).toBe('LAST_LOGIN_METHOD');
    const [after] = [browser()];
    expect(told(await logIn(after))).toEqual([303, '/']);
    expect((await state(after)).user.id).toBe(ada.id);
  });

  it('F46: the address of an identity is kept only if the provider has verified it: by that one is taken for the owner’s', async () => {
    const user = await createUser(t.app);
    const own = browser(await signInAs(t.app, user.id));
    const back = async (verified: boolean, path?: string) =>
      own.back(
        stub.authorize(
          await own.start('stub', {}, path),
          claims({ email: user.email, email_verified: verified, auth_time: Math.floor(t.clock.now() / 1000) }),
        ),
      );
    const kept = async () => (await own.get('identities')).body.map(({ email }: { email: string | null }) => email);
    expect(told(await back(false, 'oidc/stub/link'))).toEqual([303, '/']);
    expect(await kept()).toEqual([null]);
    expect(told(await back(true))).toEqual([303, '/']);
    expect(await kept()).toEqual([user.email]);
    expect(told(await back(false))).toEqual([303, '/']);
    expect(await kept()).toEqual([null]);
  });

  it('F63: a link or a step-up that a bearer token begins is refused before the browser leaves', async () => {
    const user = await createUser(t.app);
    const { body } = await request(t.url).post('/auth/token').send({ email: user.email, password: PASSWORD });
    const bearer = { Authorization: `Bearer ${(body as { token: string }).token}` };
    for (const path of ['oidc/stub/link', 'step-up/oidc/stub']) {
      const answer = await browser().post(path, {}, bearer);
      expect([path, answer.status, answer.body]).toEqual([
        path,
        422,
        expect.objectContaining({ code: 'INVALID_INPUT', fields: { session: expect.stringMatching(/cookie/) } }),
      ]);
    }
    // Negative control: the same user by cookie.
    expect((await browser(await signInAs(t.app, user.id)).post('oidc/stub/link')).status).toBe(200);
  });

  it('F67, F85: a step-up there is a proof after it was asked for, by the identity of the session', async () => {
    const account = { sub, email, email_verified: true };
    const there = real.browserOf(account);
    const by = browser();
    await by.back((await there.logIn(await by.start('real'))).url);
    t.clock.advance(minutes(16));
    expect((await by.post('oidc/stub/link')).body).toMatchObject({ code: 'STEP_UP_REQUIRED', methods: ['oidc'] });
    t.clock.set(Date.now());
    const before = by.session;
    const asked = await by.start('real', { returnTo: '/again' }, 'step-up/oidc/real');
    expect(new URL(asked).searchParams.get('max_age')).toBe('0');
    expect(told(await by.back((await there.logIn(asked)).url))).toEqual([303, '/again']);
    expect(by.session).not.toBe(before);
    expect((await browser(`__Host-session=${before}`).get('session')).status).toBe(401);
    expect((await by.post('step-up/oidc/stub')).body.code).toBe('IDENTITY_NOT_FOUND');

    const stubbed = browser();
    await logIn(stubbed, { sub: `${sub}-2`, email: `2-${email}` });
    const step = async (more: object) =>
      stubbed.back(stub.authorize(await stubbed.start('stub', {}, 'step-up/oidc/stub'), claims(more)));
    const mine = { sub: `${sub}-2` };
    const now = Math.floor(t.clock.now() / 1000);
    const refused = [303, '/login?error=INVALID_CREDENTIALS'];
    expect(told(await step({ ...mine, auth_time: now - 60 }))).toEqual(refused);
    expect(told(await step({ ...mine, auth_time: undefined }))).toEqual(refused);
    expect(told(await step({ ...mine, auth_time: now + 120 }))).toEqual(refused);
    expect(told(await step({ auth_time: now }))).toEqual(refused);
    expect(told(await step({ ...mine, auth_time: now }))).toEqual([303, '/']);
  });

  it('F67: a step-up at a provider that asks nobody again is not offered, and refused before the browser leaves', async () => {
    const by = browser();
    await by.back(silent.authorize(await by.start('silent'), claims()));
    const asked = async () => {
      const { status, body } = await by.post('step-up/oidc/silent');
      return [status, body.code, body.fields];
    };
    const none = { provider: expect.stringMatching(/choose a method of GET step-up/) };
    expect(await asked()).toEqual([422, 'INVALID_INPUT', none]);
    expect((await by.get('step-up')).body.methods).toEqual([]);
    t.clock.advance(minutes(16));
    expect((await by.post('oidc/stub/link')).body).toMatchObject({ code: 'STEP_UP_REQUIRED', methods: [] });
    t.clock.set(Date.now());
    // Negative control: another provider of the same user.
    await by.back(silent.authorize(await by.start('silent'), claims()));
    expect(told(await by.back(stub.authorize(await by.start('stub', {}, 'oidc/stub/link'), claims())))).toEqual([
      303,
      '/',
    ]);
    expect((await by.get('step-up')).body.methods).toEqual(['oidc']);
    expect((await by.post('step-up/oidc/stub')).status).toBe(200);
    expect(await asked()).toEqual([422, 'INVALID_INPUT', none]);
  });

  it('F82, F67: without auth_time a login is not fresh, unless the provider is taken so; a step-up never is', async () => {
    const untimed = { auth_time: undefined };
    const stale = browser();
    await logIn(stale, untimed);
    // Nor for a window that is longer than the age it is given.
    expect((await stale.get('session')).body.session.amr).toEqual(['oidc', 'stale']);
    expect((await stale.post('oidc/other/link')).body).toMatchObject({ code: 'STEP_UP_REQUIRED', methods: ['oidc'] });
    const step = async (more: object) =>
      stale.back(stub.authorize(await stale.start('stub', {}, 'step-up/oidc/stub'), claims(more)));
    expect(told(await step(untimed))).toEqual([303, '/login?error=INVALID_CREDENTIALS']);
    expect((await stale.post('oidc/other/link')).status).toBe(401);
    // Negative control: with it the session is fresh.
    expect(told(await step({ auth_time: Math.floor(t.clock.now() / 1000) }))).toEqual([303, '/']);
    expect((await stale.post('oidc/other/link')).status).toBe(200);
    const by = browser();
    const begun = await by.start('lenient');
    expect(new URL(begun).searchParams.get('max_age')).toBe('31536000');
    await by.back(lenient.authorize(begun, claims({ ...untimed, sub: `${sub}-l`, email: `l-${email}` })));
    expect((await by.post('oidc/other/link')).status).toBe(200);
    const again = lenient.authorize(
      await by.start('lenient', {}, 'step-up/oidc/lenient'),
      claims({ ...untimed, sub: `${sub}-l` }),
    );
    expect(told(await by.back(again))).toEqual([303, '/login?error=INVALID_CREDENTIALS']);
    // One that was long ago opens a session all the same.
    const old = browser();
    await logIn(old, { auth_time: Math.floor(t.clock.now() / 1000) - 400 * 86_400 });
    expect((await old.get('session')).body.session.amr).toEqual(['oidc', 'stale']);
    // After everything of the account has ended, which every session has to be younger than.
    await t.db.query(
      `UPDATE users SET tokens_invalidated_after = to_timestamp(${t.clock.now() / 1000 - 3600}) WHERE email = '${email}'`,
    );
    const later = browser();
    expect(told(await logIn(later, untimed))).toEqual([303, '/']);
    expect((await later.get('session')).status).toBe(200);
    expect((await later.post('oidc/other/link')).body.code).toBe('STEP_UP_REQUIRED');
  });

  it.each([
    ['an hour ago', 3_600],
    ['a minute ago', 60],
  ])('F82, F25: what was proved %s, before a sign-out everywhere, is not fresh after it', async (_, age) => {
    const now = Math.floor(t.clock.now() / 1000);
    const earlier = { auth_time: now - age };
    const first = browser();
    await logIn(first, earlier);
    expect((await first.post('logout-all')).status).toBe(200);
    const again = browser();
    expect(told(await logIn(again, earlier))).toEqual([303, '/']);
    expect((await state(again)).session.amr).toEqual(['oidc', 'stale']);
    const paged = browser();
    const { exchange: token } = fragmentOf(await logIn(paged, earlier, { exchange: 'browser' }));
    expect((await paged.post('oidc/exchange', { token })).status).toBe(200);
    for (const by of [again, paged]) {
      expect((await by.post('oidc/other/link')).body).toMatchObject({ code: 'STEP_UP_REQUIRED', methods: ['oidc'] });
    }
    expect(heard.filter(({ type }) => type === 'login.succeeded').slice(-2)).toMatchObject([
      { factors: ['oidc'] },
      { factors: ['oidc'] },
    ]);
    // A step-up is what makes it fresh.
    const asked = await again.start('stub', {}, 'step-up/oidc/stub');
    await again.back(stub.authorize(asked, claims({ auth_time: now })));
    expect((await state(again)).session.amr).toEqual(['oidc']);
    expect((await again.post('oidc/other/link')).status).toBe(200);
    // Negative control: a proof after it.
    const later = browser();
    await logIn(later, { auth_time: now });
    expect((await later.post('oidc/other/link')).status).toBe(200);
  });
});
