import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { hours, SessionService, type AuthUser } from 'nestjs-latchkey';
import { IdentityStore } from 'nestjs-latchkey/engine';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import { createUser, PASSWORD, PLATFORMS } from '../../support/app.js';
import { fragmentOf, OidcBrowser, oidcAuth } from '../../support/oidc.js';
import { accountOf, kindsTo, mailTo } from '../../support/registration.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { startStubProvider, STUB_CLIENT } from '../../support/stub-provider.js';

const stub = await startStubProvider();
const closed = await startStubProvider();
afterAll(() => Promise.all([stub.close(), closed.close()]));
const AUTH = oidcAuth([
  { id: 'stub', label: 'The stub', issuer: stub.issuer, ...STUB_CLIENT, signUp: true },
  { id: 'closed', issuer: closed.issuer, ...STUB_CLIENT },
]);
const NEXT = 'a brand new passphrase';

describe.each(PLATFORMS)('sign-ups at a provider that has not verified the address, on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    auth: {
      ...AUTH,
      trustedProxies: ['127.0.0.1'],
      flows: { ...AUTH.flows, registration: {} },
      rateLimits: {
        ...AUTH.rateLimits,
        policies: { ...AUTH.rateLimits.policies, mail_ip: { limit: 100_000 }, register_ip: { limit: 3 } },
      },
    },
    startAt: Date.now(),
  });
  const heard = eventsHeard(t);
  let nth = 0;
  let sub: string;
  let email: string;
  let from: { 'X-Forwarded-For': string };
  beforeEach(() => {
    sub = `${platform}-${++nth}`;
    email = `${sub}@example.com`;
    from = { 'X-Forwarded-For': `2001:db8:${nth}::1` };
    heard.splice(0);
  });

  const browser = () => new OidcBrowser(t);
  /** From the start to the answer of the callback. */
  const signUp = async (by: OidcBrowser, more: object = {}, body: object = {}) => {
    const asked = await by.start('stub', body);
    const { search } = new URL(stub.authorize(asked, { sub, email, email_verified: false, ...more }));
    return by.get(`oidc/stub/callback${search}`, { Accept: 'text/html', ...from });
  };
  const confirm = (by: OidcBrowser, body: object) => by.post('register/confirm', body);
  const state = async (by: OidcBrowser) =>
    (await by.get('session')).body as { user: AuthUser; session: { amr: string[]; aal: number } };
  const identitiesOf = async (user: AuthUser | null) =>
    user === null ? [] : t.app.get(IdentityStore).listByUser(user.id);

  it('F28: nobody has an account before the mail; its code opens one in the browser that asked, with the identity', async () => {
    const by = browser();
    const answer = await signUp(by, {}, { returnTo: '/notes' });
    expect([answer.status, answer.get('Location')!.split('#')[0]]).toEqual([303, '/login']);
    expect(fragmentOf(answer)).toEqual({ status: 'confirmation_required', returnTo: '/notes' });
    expect(by.session).toBeUndefined();
    expect(await accountOf(t, email)).toBeNull();
    const { code, token } = await mailTo(t, email);
    const confirmed = await confirm(by, { code });
    expect([confirmed.status, confirmed.body]).toEqual([200, expect.objectContaining({ status: 'authenticated' })]);
    const { user, session } = await state(by);
    // What has been proved now is the mailbox, whatever the provider said a day ago.
    expect([user.email, session]).toEqual([email, expect.objectContaining({ aal: 1, amr: ['magic-link'] })]);
    const account = (await accountOf(t, email))!;
    expect(account).toMatchObject({ emailVerifiedAt: t.clock.now(), roles: [] });
    expect(await identitiesOf(account)).toEqual([
      expect.objectContaining({ provider: 'stub', issuer: stub.issuer, subject: sub, email }),
    ]);
    const told = heard.flatMap((event) => ('userId' in event && event.userId === user.id ? event.type : []));
    expect(told).toEqual([
      'account.registered',
      'email.verified',
      'identity.linked',
      'session.created',
      'login.succeeded',
    ]);
    // Once: neither the code nor the link opens anything more.
    expect((await confirm(by, { code })).body.code).toBe('INVALID_LINK');
    expect((await confirm(by, { token })).body.code).toBe('INVALID_LINK');
    // The identity logs in from now on, whatever it says of the address.
    const again = browser();
    expect((await signUp(again)).get('Location')).toBe('/');
    expect((await state(again)).user.id).toBe(user.id);
    expect(await kindsTo(t, email)).toEqual(['registration']);
  });

  it('F29: whoever opens the link elsewhere gets an account of their own, without the identity of a stranger', async () => {
    const stranger = browser();
    await signUp(stranger);
    const { token, code } = await mailTo(t, email);
    const owner = browser();
    expect((await confirm(owner, { code })).body.code).toBe('INVALID_LINK');
    const refused = await confirm(owner, { token });
    expect([refused.status, refused.body.fields]).toEqual([422, { password: expect.any(String) }]);
    expect(await accountOf(t, email)).toBeNull();
    expect((await confirm(owner, { token, password: NEXT })).status).toBe(200);
    expect((await state(owner)).session.amr).toEqual(['password']);
    expect(await identitiesOf(await accountOf(t, email))).toEqual([]);
    expect((await confirm(stranger, { code })).body.code).toBe('INVALID_LINK');
    expect(stranger.session).toBeUndefined();
    // By the identity nobody gets in: the address has an account, of which nothing is told.
    expect(fragmentOf(await signUp(stranger))).toMatchObject({ status: 'confirmation_required' });
    expect(stranger.session).toBeUndefined();
    expect(await kindsTo(t, email)).toEqual(['registration', 'already_registered']);
  });

  it('F14: the answer is the same for an address that an account has, whose owner is told by mail', async () => {
    const taken = await createUser(t.app);
    const seen = async (claimed: string) => {
      const answer = await signUp(browser(), { email: claimed });
      const cookies = (answer.get('Set-Cookie') ?? []).map((cookie) =>
        cookie.replace(/=[\w-]{20,}/, (value) => `=${'x'.repeat(value.length)}`),
      );
      const { date, 'x-request-id': _id, ...headers } = answer.headers as Record<string, unknown>;
      expect(typeof date).toBe('string');
      return [answer.status, answer.text, { ...headers, 'set-cookie': cookies }];
    };
    const free = await seen(email);
    // The sequence of the limit is that of the address that asks.
    from = { 'X-Forwarded-For': `2001:db8:${nth}:ffff::1` };
    expect(await seen(taken.email)).toEqual(free);
    expect(await kindsTo(t, taken.email)).toEqual(['already_registered']);
    expect(await kindsTo(t, email)).toEqual(['registration']);
  });

  it('F16: counts as a registration from its address, and ends on the page for it', async () => {
    for (let i = 0; i < 3; i++) await signUp(browser(), { email: `${i}-${email}`, sub: `${sub}-${i}` });
    const answer = await signUp(browser());
    expect([answer.status, answer.get('Location')]).toEqual([303, '/login?error=RATE_LIMITED']);
    expect(await kindsTo(t, email)).toEqual([]);
    // Negative control: from elsewhere.
    from = { 'X-Forwarded-For': `2001:db8:${nth}:ffff::1` };
    await signUp(browser());
    expect(await kindsTo(t, email)).toEqual(['registration']);
  });

  it('F31: of fifty confirmations one opens the account, with one session and one identity', async () => {
    const by = browser();
    await signUp(by);
    const { code } = await mailTo(t, email);
    const asked = `__Host-session-register=${by.cookies.get('__Host-session-register')}`;
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => new OidcBrowser(t, asked).post('register/confirm', { code })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const account = (await accountOf(t, email))!;
    expect(await identitiesOf(account)).toHaveLength(1);
    expect(await t.app.get(SessionService).listForUser(account.id)).toHaveLength(1);
  });

  it('F61: an identity that has been linked meanwhile opens no other account', async () => {
    const by = browser();
    await signUp(by);
    const { code } = await mailTo(t, email);
    const other = await createUser(t.app);
    const of = { id: other.id, userId: other.id, provider: 'stub', issuer: stub.issuer, subject: sub };
    await t.app.get(IdentityStore).add({ ...of, email, linkedAt: t.clock.now() });
    const refused = await confirm(by, { code });
    expect([refused.status, refused.body.code]).toEqual([400, 'INVALID_LINK']);
    expect([await accountOf(t, email), by.session]).toEqual([null, undefined]);
    expect(heard.map(({ type }) => type)).not.toContain('account.registered');
    // Nothing was spent: it was linked by mistake, and is free again.
    await t.app.get(IdentityStore).delete(other.id, other.id);
    expect((await confirm(by, { code })).status).toBe(200);
  });

  it('F30: an address that has been taken meanwhile is answered like a link that is spent', async () => {
    const by = browser();
    await signUp(by);
    const { code } = await mailTo(t, email);
    const taken = await createUser(t.app, email);
    expect((await confirm(by, { code })).body.code).toBe('INVALID_LINK');
    expect(await identitiesOf(taken)).toEqual([]);
  });

  it('two identities that ask for one address: the later mail counts, with its identity', async () => {
    const [first, second] = [browser(), browser()];
    await signUp(first);
    const earlier = await mailTo(t, email);
    await signUp(second, { sub: `${sub}-2` });
    const { code } = await mailTo(t, email);
    expect((await confirm(first, { code: earlier.code })).body.code).toBe('INVALID_LINK');
    expect((await confirm(first, { code })).body.code).toBe('INVALID_LINK');
    expect((await confirm(second, { code })).status).toBe(200);
    expect(await identitiesOf(await accountOf(t, email))).toEqual([expect.objectContaining({ subject: `${sub}-2` })]);
  });

  it('a mail that is asked for again keeps the identity in its browser, and in no other', async () => {
    const by = browser();
    await signUp(by);
    const { token: first } = await mailTo(t, email);
    expect((await by.post('register/resend', { email })).status).toBe(202);
    const { token } = await mailTo(t, email);
    expect((await confirm(by, { token: first })).body.code).toBe('INVALID_LINK');
    expect((await confirm(by, { token, password: NEXT })).status).toBe(200);
    const account = await accountOf(t, email);
    expect(await identitiesOf(account)).toHaveLength(1);
    // The password that came with it counts too.
    expect((await browser().post('login', { email, password: NEXT })).status).toBe(200);

    sub = `${sub}-2`;
    email = `2-${email}`;
    await signUp(browser());
    await mailTo(t, email);
    const elsewhere = browser();
    await elsewhere.post('register/resend', { email });
    const { code } = await mailTo(t, email);
    expect((await confirm(elsewhere, { code })).status).toBe(422);
    expect((await confirm(elsewhere, { code, password: NEXT })).status).toBe(200);
    expect(await identitiesOf(await accountOf(t, email))).toEqual([]);
  });

  it('the link expires, and a provider without signUp mails nothing', async () => {
    const by = browser();
    await signUp(by);
    const { code } = await mailTo(t, email);
    t.clock.advance(hours(24));
    expect((await confirm(by, { code })).body.code).toBe('INVALID_LINK');
    t.clock.set(Date.now());
    const { sent } = await MemoryMailer.of(t.app);
    const before = sent.length;
    const asked = await by.start('closed');
    const answer = await by.back(closed.authorize(asked, { sub, email: `3-${email}`, email_verified: false }));
    expect(answer.get('Location')).toBe('/login?error=NO_ACCOUNT');
    expect(sent).toHaveLength(before);
    expect((await browser().post('login', { email, password: PASSWORD })).status).toBe(401);
  });
});
