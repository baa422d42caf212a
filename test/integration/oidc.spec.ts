import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { PostgresUserDirectory } from 'nestjs-latchkey';
import { IdentityStore } from 'nestjs-latchkey/engine';
import { OidcService } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import { createUser } from '../support/app.js';
import { callbackOf, OidcBrowser, oidcAuth } from '../support/oidc.js';
import { eventsHeard, sharedTestApp } from '../support/shared-app.js';
import { startStubProvider, STUB_CLIENT, type StubProvider } from '../support/stub-provider.js';

/** A provider of plain OAuth 2: every code is good once, and everybody is who the code says. */
async function startOAuth2(): Promise<{ url: string; asked: string[]; close: () => Promise<void> }> {
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    const json = (body: unknown, status = 200) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    asked.push(`${request.method} ${request.url}`);
    if (request.url === '/moved') {
      response.writeHead(302, { location: '/me' }).end();
      return;
    }
    if (request.url === '/me') {
      const [, code] = (request.headers.authorization ?? '').split('Bearer token-of-');
      json({ id: code, email: `${code}@example.com` });
      return;
    }
    let body = '';
    request.on('data', (chunk: Buffer) => (body += String(chunk)));
    request.on('end', () =>
      json({ access_token: `token-of-${new URLSearchParams(body).get('code')}`, token_type: 'bearer' }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => new Promise<void>((resolve) => void server.close(() => resolve()));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, close };
}

const stub: StubProvider = await startStubProvider();
const oauth2 = await startOAuth2();
/** What happens while the provider is being asked. */
let meanwhile: () => Promise<unknown> = async () => {};
const profileAt = (path: string) => async (get: (url: string) => Promise<unknown>) => {
  await meanwhile();
  const { id, email } = (await get(`${oauth2.url}${path}`)) as { id: string; email: string };
  return { subject: id, email, emailVerified: true };
};
const plain = {
  ...STUB_CLIENT,
  issuer: oauth2.url,
  authorizationEndpoint: `${oauth2.url}/authorize`,
  tokenEndpoint: `${oauth2.url}/token`,
  signUp: true,
};

describe('logins at providers', () => {
  const t = sharedTestApp({
    auth: oidcAuth([
      { id: 'stub', issuer: stub.issuer, ...STUB_CLIENT, signUp: true },
      { id: 'plain', ...plain, profile: profileAt('/me') },
      { id: 'moved', ...plain, clientId: 'moved', profile: profileAt('/moved') },
      {
        ...plain,
        id: 'mailbox',
        clientId: 'mailbox',
        profile: profileAt('/me'),
        link: 'verified-email',
        authoritativeFor: ['example.com'],
      },
      { id: 'dead', issuer: 'http://localhost:1', clientId: 'notes' },
    ]),
    startAt: Date.now(),
  });
  const heard = eventsHeard(t);
  let nth = 0;
  let sub: string;
  beforeAll(() => stub.tamper({}));
  afterAll(() => Promise.all([stub.close(), oauth2.close()]));
  beforeEach(() => {
    sub = `somebody-${++nth}`;
    stub.tamper({});
    meanwhile = async () => {};
    heard.length = 0;
  });
  const claims = () => ({ sub, email: `${sub}@example.com`, email_verified: true });

  it('F27: no code, token or claim is in an event or an error', async () => {
    const by = new OidcBrowser(t);
    await by.back(stub.authorize(await by.start('stub'), claims()));
    stub.tamper({ claims: (all) => ({ ...all, aud: 'else', secret: 'a-canary' }) });
    const url = stub.authorize(await by.start('stub'), claims());
    const browsers = (by.cookies.get('__Host-session-oidc') ?? '').split('.');
    const error = await t.app
      .get(OidcService)
      .finish('stub', new URL(url).searchParams, { browsers })
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'PROVIDER_FAILED', facts: { provider: 'stub' } });
    const told = JSON.stringify([heard, String(error), (error as Error).stack, (error as Error).cause]);
    expect(told).not.toMatch(/canary|an-access-token|code-|eyJ/);
  });

  it('F31: of parallel first logins of one identity one opens the account, and all enter it', async () => {
    const browsers = Array.from({ length: 10 }, () => new OidcBrowser(t));
    const urls = await Promise.all(browsers.map(async (by) => stub.authorize(await by.start('stub'), claims())));
    const answers = await Promise.all(browsers.map((by, i) => by.back(urls[i]!)));
    expect(answers.map((answer) => answer.get('Location'))).toEqual(browsers.map(() => '/'));
    const rows = await t.db.query(`SELECT DISTINCT user_id FROM auth_identities WHERE subject = '${sub}'`);
    expect(rows).toHaveLength(1);
    expect(heard.filter(({ type }) => type === 'account.registered')).toHaveLength(1);
    const linked = heard.filter(({ type }) => type === 'identity.linked');
    expect(linked).toEqual([expect.objectContaining({ provider: 'stub', ip: '127.0.0.1' })]);
  });

  it('F22: a provider that is away costs nothing, and neither does a storage', async () => {
    const by = new OidcBrowser(t);
    expect((await by.post('oidc/dead/start')).body).toMatchObject({ statusCode: 502, code: 'PROVIDER_FAILED' });
    expect(
      await t.db.query(`SELECT FROM auth_ephemeral_tokens WHERE payload->'request'->>'provider' = 'dead'`),
    ).toEqual([]);
    const url = stub.authorize(await by.start('stub'), claims());
    await t.db.query('ALTER TABLE auth_ephemeral_tokens RENAME TO away');
    expect((await by.back(url)).status).toBe(503);
    await t.db.query('ALTER TABLE away RENAME TO auth_ephemeral_tokens');
    expect((await by.back(url)).get('Location')).toBe('/');
  });

  it('F25: an account that was signed out everywhere after the proof at the provider is entered all the same', async () => {
    const by = new OidcBrowser(t);
    await by.back(stub.authorize(await by.start('stub'), claims()));
    const { user } = (await by.get('session')).body;
    await t.app.get(PostgresUserDirectory).invalidateTokens(user.id, t.clock.now());
    const next = new OidcBrowser(t);
    const earlier = { auth_time: Math.floor(t.clock.now() / 1000) - 3_600 };
    expect(
      (await next.back(stub.authorize(await next.start('stub'), { ...claims(), ...earlier }))).get('Location'),
    ).toBe('/');
    expect((await next.get('session')).status).toBe(200);
  });

  it('F67: an old proof at the provider is no fresh session', async () => {
    const by = new OidcBrowser(t);
    const authTime = Math.floor(t.clock.now() / 1000) - 3_600;
    await by.back(stub.authorize(await by.start('stub'), { ...claims(), auth_time: authTime }));
    expect((await by.get('session')).body.session.authenticatedAt).toBe(new Date(authTime * 1000).toISOString());
    expect((await by.post('oidc/stub/link')).body.code).toBe('STEP_UP_REQUIRED');
  });

  describe('plain OAuth 2', () => {
    const authorize = (url: string, code: string) => {
      const state = new URL(url).searchParams.get('state')!;
      const callback = new URL(new URL(url).searchParams.get('redirect_uri')!);
      callback.search = new URLSearchParams({ state, code }).toString();
      return callback.href;
    };

    it('F58, F61: asks who has logged in, once, with PKCE and in the browser that began', async () => {
      const by = new OidcBrowser(t);
      const asked = await by.start('plain');
      expect(Object.fromEntries(new URL(asked).searchParams)).toMatchObject({ code_challenge_method: 'S256' });
      expect(new URL(asked).searchParams.get('redirect_uri')).toBe(callbackOf('plain'));
      const url = authorize(asked, sub);
      expect((await new OidcBrowser(t).back(url)).get('Location')).toBe('/login?error=LOGIN_EXPIRED');
      expect((await by.back(url)).get('Location')).toBe('/');
      expect((await by.back(url)).get('Location')).toBe('/login?error=LOGIN_EXPIRED');
      expect((await by.get('session')).body.user.email).toBe(`${sub}@example.com`);
    });

    it('F67: no step-up, as it cannot say when its user has proved who they are: refused before the browser leaves', async () => {
      const by = new OidcBrowser(t);
      await by.back(authorize(await by.start('plain'), sub));
      const refused = await by.post('step-up/oidc/plain');
      expect([refused.status, refused.body.code]).toEqual([422, 'INVALID_INPUT']);
      expect(refused.body.fields).toEqual({ provider: expect.stringMatching(/asks nobody to prove again/) });
      expect((await by.get('step-up')).body.methods).toEqual([]);
    });

    it('F68: a profile is not fetched through a redirect', async () => {
      const by = new OidcBrowser(t);
      oauth2.asked.length = 0;
      const answer = await by.back(authorize(await by.start('moved'), sub));
      expect(answer.get('Location')).toBe('/login?error=PROVIDER_FAILED');
      expect(oauth2.asked).toEqual(['POST /token', 'GET /moved']);
    });

    it.each([
      ['everything', (owner: OidcBrowser) => owner.post('logout-all')],
      ['this session', (_: OidcBrowser, thief: OidcBrowser) => thief.post('logout')],
    ])('F25, F63: links nothing in a session that ends while the provider is asked: %s', async (_, end) => {
      const { id } = await createUser(t.app);
      const [owner, thief] = [
        new OidcBrowser(t, await signInAs(t.app, id)),
        new OidcBrowser(t, await signInAs(t.app, id)),
      ];
      const url = authorize(await thief.start('plain', {}, 'oidc/plain/link'), sub);
      meanwhile = async () => expect((await end(owner, thief)).status).toBe(200);
      expect((await thief.back(url)).get('Location')).toBe('/login?error=UNAUTHENTICATED');
      expect(await t.app.get(IdentityStore).listByUser(id)).toEqual([]);
      // A login by it opens an account of its own (negative control: it is known now).
      meanwhile = async () => {};
      const alone = new OidcBrowser(t);
      expect((await alone.back(authorize(await alone.start('plain'), sub))).get('Location')).toBe('/');
      expect((await alone.get('session')).body.user.id).not.toBe(id);
    });

    it('F64: a login that an identity has begun ends when it is unlinked', async () => {
      const { id } = await createUser(t.app);
      const owner = new OidcBrowser(t, await signInAs(t.app, id));
      await owner.back(authorize(await owner.start('plain', {}, 'oidc/plain/link'), sub));
      const thief = new OidcBrowser(t);
      const handed = async () => {
        const answer = await thief.back(authorize(await thief.start('plain', { exchange: 'browser' }), sub));
        return new URLSearchParams(answer.get('Location')!.split('#')[1]).get('exchange')!;
      };
      const [kept] = await t.app.get(IdentityStore).listByUser(id);
      expect((await thief.post('oidc/exchange', { token: await handed() })).status).toBe(200);
      const token = await handed();
      expect((await owner.delete(`identities/${kept!.id}`)).status).toBe(200);
      expect((await thief.post('oidc/exchange', { token })).body.code).toBe('LOGIN_EXPIRED');
    });

    it.each([
      ['changes', `email = 'moved-' || email`],
      ['is proved no more', 'email_verified_at = NULL'],
    ])('F62: links no account whose address %s between the decision and the link', async (_, change) => {
      const users = t.app.get(PostgresUserDirectory);
      const known = await createUser(t.app, `${sub}@example.com`);
      await t.db.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [known.id]);
      const by = new OidcBrowser(t);
      const url = authorize(await by.start('mailbox'), sub);
      const decided = jest.spyOn(users, 'findByLogin').mockImplementationOnce(async (login) => {
        const found = await users.findByLogin(login);
        await t.db.query(`UPDATE users SET ${change} WHERE id = $1`, [known.id]);
        return found;
      });
      await by.back(url);
      decided.mockRestore();
      expect(await t.app.get(IdentityStore).listByUser(known.id)).toEqual([]);
      expect((await by.get('session')).body.user?.id).not.toBe(known.id);
      // Negative control: an address that stays is linked.
      await t.db.query('UPDATE users SET email = $2, email_verified_at = now() WHERE id = $1', [
        known.id,
        `stays-${sub}@example.com`,
      ]);
      const next = new OidcBrowser(t);
      await next.back(authorize(await next.start('mailbox'), `stays-${sub}`));
      expect((await next.get('session')).body.user.id).toBe(known.id);
    });

    it('F69: the way back has no fragment of somebody else', async () => {
      const answer = await new OidcBrowser(t).post('oidc/plain/start', { returnTo: '/app#exchange=EVIL' });
      expect([answer.status, answer.body.fields]).toEqual([422, { returnTo: expect.stringMatching(/fragment/) }]);
    });

    it('F62: an address that an account has enters none', async () => {
      const ada = await createUser(t.app);
      const stranger = new OidcBrowser(t);
      const answer = await stranger.back(authorize(await stranger.start('plain'), ada.email.split('@')[0]!));
      expect(answer.get('Location')).toBe('/login?error=ACCOUNT_EXISTS');
    });
  });
});
