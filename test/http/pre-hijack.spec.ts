import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { JwtCodecService, minutes, PostgresUserDirectory } from 'nestjs-latchkey';
import { ApiKeyService } from 'nestjs-latchkey/flows';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { PASSWORD, PLATFORMS } from '../support/app.js';
import { newMails } from '../support/flows.js';
import { LinkBrowser } from '../support/magic-link.js';
import { OidcBrowser, oidcAuth } from '../support/oidc.js';
import { PasskeyClient } from '../support/passkeys.js';
import { mailTo, newAddress, NO_IP_LIMITS } from '../support/registration.js';
import { sharedTestApp } from '../support/shared-app.js';
import { startStubProvider, STUB_CLIENT } from '../support/stub-provider.js';
import { presenterOf } from '../support/token-presenter.js';

const NEXT = 'a passphrase of the victim';

const stub = await startStubProvider();
afterAll(() => stub.close());

describe.each(PLATFORMS)('F28: whoever was there before the owner of the mailbox, on %s', (platform) => {
  const provider = { id: 'stub', issuer: stub.issuer, ...STUB_CLIENT, signUp: true };
  const { flows, rateLimits, ...auth } = oidcAuth([provider]);
  const t = sharedTestApp({
    platform,
    startAt: Date.now(),
    auth: {
      ...auth,
      jwt: { sessions: true },
      flows: {
        ...flows,
        registration: {},
        magicLink: {},
        passwordReset: {},
        twoFactor: { totp: {}, backupCodes: { count: 4 }, emailCode: {} },
        passkeys: { rpName: 'Notes' },
        apiKeys: { scopes: ['notes:read'] },
      },
      rateLimits: { ...rateLimits, policies: { ...NO_IP_LIMITS?.policies, ...rateLimits.policies } },
    },
  });
  beforeEach(() => newMails(t.app));

  const users = () => t.app.get(PostgresUserDirectory);
  const byProvider = async (email: string) => {
    const browser = new OidcBrowser(t);
    const url = await browser.start('stub');
    const answer = await browser.back(stub.authorize(url, { sub: email, email, email_verified: true }));
    return { browser, to: answer.get('Location') };
  };
  const kindsTo = async (email: string) =>
    (await newMails(t.app)).filter(({ to }) => to.address === email).map(({ kind }) => kind);

  it('F28: who has registered the address, and never confirmed, gets in nowhere once its owner comes by a provider', async () => {
    const [email, attacker] = [newAddress(), new LinkBrowser(t)];
    expect((await attacker.post('register', { email, password: PASSWORD })).status).toBe(202);
    const { token, code } = await mailTo(t, email, 'registration');
    const { browser } = await byProvider(email);
    const { user } = (await browser.get('session')).body;
    expect([user.email, await users().findPasswordHash(user.id)]).toEqual([email, '!']);
    for (const path of ['login', 'token'])
      expect((await attacker.post(path, { email, password: PASSWORD })).status).toBe(401);
    // Nor by the link itself, in the browser that asked for it, should the victim give it away.
    for (const proof of [{ token }, { code }, { token, password: PASSWORD }]) {
      expect((await attacker.post('register/confirm', proof)).body.code).toBe('INVALID_LINK');
    }
    expect((await attacker.send('get', 'session')).status).toBe(401);
    expect(await users().findPasswordHash(user.id)).toBe('!');
  });

  it('F28: who has registered the address is no account: neither a link nor a reset leads to one', async () => {
    const [email, attacker, victim] = [newAddress(), new LinkBrowser(t), new LinkBrowser(t)];
    await attacker.post('register', { email, password: PASSWORD });
    for (const path of ['magic-link', 'forgot-password']) expect((await victim.post(path, { email })).status).toBe(202);
    expect(await kindsTo(email)).toEqual(['registration']);
    expect(await users().findByLogin(email)).toBeNull();
    // The owner registers: that voids what the attacker has begun, password and all.
    const { status } = await victim.post('register', { email, password: NEXT });
    const { token } = await mailTo(t, email, 'registration');
    expect([status, (await victim.post('register/confirm', { token })).status]).toEqual([202, 200]);
    expect((await attacker.post('login', { email, password: PASSWORD })).status).toBe(401);
    expect((await victim.post('login', { email, password: NEXT })).status).toBe(200);
  });

  /** An account for the victim's address that another program has not proved, with everything that the attacker can add. */
  async function prepared() {
    const { user, passkey, cookies, secret } = await presenterOf(t, {});
    const scopes = { name: 'Later', scopes: ['notes:read'], expiresIn: minutes(60) };
    const { key } = await t.app.get(ApiKeyService).create(user, scopes);
    const jwt = t.app.get(JwtCodecService).encode(user.id).token;
    await t.db.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [user.id]);
    const { email } = user;
    const client = new PasskeyClient(t);
    const held = await client.post('login', { email, password: PASSWORD });
    await newMails(t.app);
    /** Which of the ways in are open. */
    const ways = async () => {
      const session = async (headers: Record<string, string>) =>
        (await request(t.url).get('/auth/session').set(headers)).status === 200;
      const left = await t.db.query('SELECT 1 FROM auth_totp WHERE user_id = $1', [user.id]);
      return Object.entries({
        password: (await client.post('login', { email, password: PASSWORD })).status === 200,
        session: await session({ Cookie: cookies }),
        jwt: await session({ Authorization: `Bearer ${jwt}` }),
        passkey: (await client.logIn(passkey)).status === 200,
        factor: left.length > 0,
        key: (await t.app.get(ApiKeyService).authenticate(key)) !== null,
      }).flatMap(([way, isOpen]) => (isOpen ? way : []));
    };
    return { user, held: held.body.token as string, secret, ways };
  }
  const ALL = ['password', 'session', 'jwt', 'passkey', 'factor', 'key'];

  it('F28: an account that nobody has proved is opened to its owner by no provider, and stays what it was', async () => {
    const { user, ways } = await prepared();
    const { browser, to } = await byProvider(user.email);
    expect(to).toMatch(/error=ACCOUNT_EXISTS/);
    expect(browser.session).toBeUndefined();
    // The negative control of what follows, too.
    expect(await ways()).toEqual(ALL);
  });

  it.each([
    [
      'a mailed link',
      async (victim: LinkBrowser, email: string) => {
        const { token } = await victim.ask(email);
        return victim.confirm({ token });
      },
    ],
    [
      'a reset',
      async (victim: LinkBrowser, email: string) => {
        await victim.post('forgot-password', { email });
        const { token } = (await MemoryMailer.of(t.app)).last('password_reset');
        return victim.post('reset-password', { token, password: NEXT });
      },
    ],
  ])('F28: once its owner comes by %s, nothing that was prepared opens it', async (_, comeIn) => {
    const { user, held, ways } = await prepared();
    const victim = new LinkBrowser(t);
    expect((await comeIn(victim, user.email)).status).toBe(200);
    expect(await ways()).toEqual([]);
    const verify = await victim.post('2fa/verify', { token: held, method: 'totp', code: '000000' });
    expect(verify.status).toBe(401);
    expect((await users().findById(user.id))?.emailVerifiedAt).toBe(t.clock.now());
    // And from now on a provider is asked to link it, as for any account that is somebody's.
    expect((await byProvider(user.email)).to).toMatch(/error=ACCOUNT_EXISTS/);
  });
});
