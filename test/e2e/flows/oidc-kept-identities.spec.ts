import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { hours, minutes, PostgresUserDirectory, type AuthUser } from 'nestjs-latchkey';
import { IdentityStore } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import { createUser, PASSWORD, PLATFORMS } from '../../support/app.js';
import { newMails } from '../../support/flows.js';
import { OidcBrowser, oidcAuth } from '../../support/oidc.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { startStubProvider, STUB_CLIENT } from '../../support/stub-provider.js';

const stub = await startStubProvider();
const other = await startStubProvider();
afterAll(() => Promise.all([stub.close(), other.close()]));
const AUTH = oidcAuth([
  { id: 'stub', label: 'The stub', issuer: stub.issuer, ...STUB_CLIENT },
  { id: 'other', issuer: other.issuer, ...STUB_CLIENT },
]);
const KEPT = '__Host-session-oidc-link';

describe.each(PLATFORMS)('an identity whose address has an account, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: AUTH, startAt: Date.now() });
  const heard = eventsHeard(t);
  let nth = 0;
  let sub: string;
  let user: AuthUser;
  beforeEach(async () => {
    sub = `${platform}-${++nth}`;
    user = await createUser(t.app);
    await newMails(t.app);
    heard.splice(0);
  });

  /** Comes back from a provider as somebody who has the address of the account. */
  const comeBack = async (by: OidcBrowser, more: object = {}) =>
    by.back(stub.authorize(await by.start('stub'), { sub, email: user.email, email_verified: true, ...more }));
  const logIn = (by: OidcBrowser, email = user.email) => by.post('login', { email, password: PASSWORD });
  const kept = async (by: OidcBrowser) => (await by.get('identities/kept')).body as unknown;
  const link = (by: OidcBrowser, provider = 'stub') => by.post(`oidc/${provider}/link-kept`);
  const identities = (of: AuthUser = user) => t.app.get(IdentityStore).listByUser(of.id);
  const told = ({ status, body }: { status: number; body: { code?: string } }) => [status, body.code];
  const EXPIRED = [401, 'LOGIN_EXPIRED'];

  it('F62: is kept for ten minutes in its browser, and linked once its owner has logged in as before and says so', async () => {
    const by = new OidcBrowser(t);
    expect((await comeBack(by)).get('Location')).toBe('/login?error=ACCOUNT_EXISTS');
    expect(by.cookies.has(KEPT)).toBe(true);
    expect((await by.get('identities/kept')).status).toBe(401);
    expect(told(await link(by))).toEqual([401, 'UNAUTHENTICATED']);
    await logIn(by);
    // The login itself links nothing.
    expect(await identities()).toEqual([]);
    expect(await kept(by)).toEqual([{ provider: 'stub', label: 'The stub', email: user.email }]);
    expect((await link(by)).status).toBe(200);
    expect(await identities()).toEqual([
      expect.objectContaining({ provider: 'stub', issuer: stub.issuer, subject: sub, email: user.email }),
    ]);
    // F26: its owner is told.
    expect((await newMails(t.app)).map(({ kind, to }) => [kind, to.address])).toEqual([
      ['identity_linked', user.email],
    ]);
    expect(heard.filter(({ type }) => type === 'identity.linked')).toEqual([
      expect.objectContaining({ userId: user.id, provider: 'stub' }),
    ]);
    expect([await kept(by), by.cookies.has(KEPT)]).toEqual([[], false]);
    const again = new OidcBrowser(t);
    expect((await comeBack(again)).get('Location')).toBe('/');
    expect(((await again.get('session')).body as { user: AuthUser }).user.id).toBe(user.id);
  });

  it('F62: those of several providers are linked one by one, and what is linked is asked for no more', async () => {
    const by = new OidcBrowser(t);
    const third = { sub: `${sub}-third`, email: user.email, email_verified: true };
    await comeBack(by);
    await comeBack(by);
    await by.back(other.authorize(await by.start('other'), third));
    await logIn(by);
    expect(await kept(by)).toMatchObject([{ provider: 'other' }, { provider: 'stub' }]);
    const first = await link(by);
    expect([told(first), await kept(by)]).toEqual([[200, undefined], [expect.objectContaining({ provider: 'other' })]]);
    // Both values of the provider are gone, and the other one is over when its token is.
    const [cookie] = (first.get('Set-Cookie') ?? []).filter((set) => set.startsWith(`${KEPT}=`));
    expect(cookie).toMatch(/^[^=]+=[\w-]+; Max-Age=600; /);
    expect(told(await link(by))).toEqual(EXPIRED);
    expect(told(await link(by, 'other'))).toEqual([200, undefined]);
    expect([await kept(by), by.cookies.has(KEPT)]).toEqual([[], false]);
    expect((await identities()).map(({ provider }) => provider).toSorted()).toEqual(['other', 'stub']);
  });

  it('after ten minutes there is nothing to link', async () => {
    const by = new OidcBrowser(t);
    await comeBack(by);
    t.clock.advance(minutes(10));
    await logIn(by);
    expect([await kept(by), told(await link(by))]).toEqual([[], EXPIRED]);
    expect(await identities()).toEqual([]);
    t.clock.set(Date.now());
  });

  it('F63: it is the account of that address that links it, in that browser, and nobody else', async () => {
    const by = new OidcBrowser(t);
    await comeBack(by);
    const eve = await createUser(t.app);
    const jar = by.header;
    await logIn(by, eve.email);
    expect([await kept(by), told(await link(by))]).toEqual([[], EXPIRED]);
    const elsewhere = new OidcBrowser(t);
    await logIn(elsewhere);
    expect([await kept(elsewhere), told(await link(elsewhere))]).toEqual([[], EXPIRED]);
    // Refused attempts have spent nothing.
    const own = new OidcBrowser(
      t,
      jar.split('; ').find((cookie) => cookie.startsWith(`${KEPT}=`)),
    );
    await logIn(own);
    expect(told(await link(own, 'other'))).toEqual(EXPIRED);
    expect(told(await link(own, 'none'))).toEqual([404, 'PROVIDER_NOT_FOUND']);
    expect((await own.get('oidc/stub/link-kept')).status).toBe(404);
    const foreign = await own.post('oidc/stub/link-kept', {}, { 'Sec-Fetch-Site': 'cross-site' });
    expect(told(foreign)).toEqual([403, 'CROSS_ORIGIN_REQUEST']);
    expect((await link(own)).status).toBe(200);
    expect([await identities(eve), await identities()]).toEqual([[], [expect.anything()]]);
  });

  it('F63: needs a fresh session, and is there still once it is', async () => {
    const by = new OidcBrowser(t, await signInAs(t.app, user.id, { authenticatedAt: t.clock.now() - hours(1) }));
    await comeBack(by);
    expect(told(await link(by))).toEqual([401, 'STEP_UP_REQUIRED']);
    await logIn(by);
    expect((await link(by)).status).toBe(200);
  });

  it('of fifty requests one links it, and tells its owner once', async () => {
    const by = new OidcBrowser(t);
    await comeBack(by);
    await logIn(by);
    await newMails(t.app);
    const jar = by.cookies;
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => {
        const tab = new OidcBrowser(t);
        for (const [name, value] of jar) tab.cookies.set(name, value);
        return link(tab);
      }),
    );
    // What comes after it is linked already, or has nothing to link.
    for (const answer of answers) expect([[200, undefined], EXPIRED]).toContainEqual(told(answer));
    expect(heard.filter(({ type }) => type === 'identity.linked')).toHaveLength(1);
    expect(heard.filter((event) => event.type === 'token.consumed' && event.tokenType === 'oidc_link')).toHaveLength(1);
    expect(await newMails(t.app)).toHaveLength(1);
    expect(await identities()).toHaveLength(1);
  });

  it('one that somebody has linked meanwhile is refused, and so is a second one of the provider', async () => {
    const by = new OidcBrowser(t);
    await comeBack(by);
    const eve = await createUser(t.app);
    const store = t.app.get(IdentityStore);
    const of = { provider: 'stub', issuer: stub.issuer, email: null, linkedAt: t.clock.now() };
    await store.add({ ...of, id: eve.id, userId: eve.id, subject: sub });
    await logIn(by);
    expect([await kept(by), told(await link(by))]).toEqual([[], [409, 'IDENTITY_IN_USE']]);
    await store.delete(eve.id, eve.id);
    await store.add({ ...of, id: user.id, userId: user.id, subject: `${sub}-2` });
    expect(told(await link(by))).toEqual([409, 'IDENTITY_IN_USE']);
    await store.delete(user.id, user.id);
    expect((await link(by)).status).toBe(200);
  });

  it('F62: nothing is kept of an address that the provider has not verified, nor told', async () => {
    const by = new OidcBrowser(t);
    expect((await comeBack(by, { email_verified: false })).get('Location')).toBe('/login?error=NO_ACCOUNT');
    expect(by.cookies.has(KEPT)).toBe(false);
    await logIn(by);
    expect(await kept(by)).toEqual([]);
  });

  it('F14, F83: the address may move to another account meanwhile: it is the account that counts', async () => {
    const by = new OidcBrowser(t);
    await comeBack(by);
    const users = t.app.get(PostgresUserDirectory);
    const { email } = user;
    await users.setEmail(user.id, { from: email, to: `moved-${email}`, verifiedAt: t.clock.now() });
    const newcomer = await createUser(t.app, email);
    await logIn(by, email);
    expect([await kept(by), told(await link(by))]).toEqual([[], EXPIRED]);
    expect(await identities(newcomer)).toEqual([]);
  });
});
