import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hours } from 'nestjs-latchkey';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import { signInAs } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { fragmentOf, OidcBrowser, oidcAuth } from '../support/oidc.js';
import { AnswerChecker, emptyDocument } from '../support/openapi.js';
import { startStubProvider, STUB_CLIENT, type StubProvider } from '../support/stub-provider.js';

let stub: StubProvider;
beforeAll(async () => void (stub = await startStubProvider()));
afterAll(() => stub?.close());

describe.each(PLATFORMS)('the document of %s, logins at providers', (platform) => {
  let t: TestApp;
  let checker: AnswerChecker;
  beforeAll(async () => {
    const dead = { id: 'dead', issuer: 'http://localhost:1', clientId: 'notes' };
    const auth = oidcAuth([{ id: 'stub', issuer: stub.issuer, ...STUB_CLIENT, signUp: true }, dead]);
    t = await startTestApp({ platform, auth, startAt: Date.now() });
    checker = new AnswerChecker(withAuthPaths(emptyDocument('3.1.0'), t.app));
  });
  afterAll(() => t?.close());

  /** Sends it, and fails if the answer is not what the document says. */
  async function send(
    method: 'get' | 'post' | 'delete',
    path: string,
    by: OidcBrowser,
    body: object = {},
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const agent = request(t.url);
    const asked = agent[method](`/auth/${path}`).set({ ...(by.header && { Cookie: by.header }), ...headers });
    const answer = await (method === 'post' ? asked.send(body) : asked);
    expect(checker.mistakes(method, `/auth/${path.split('?')[0]}`, body, answer)).toEqual([]);
    return answer;
  }

  it('every route is answered as it says', async () => {
    const nobody = new OidcBrowser(t);
    const user = await createUser(t.app);
    const own = new OidcBrowser(t, await signInAs(t.app, user.id));
    const stale = new OidcBrowser(t, await signInAs(t.app, user.id, { authenticatedAt: t.clock.now() - hours(1) }));
    const claims = { sub: platform, email: `${platform}@example.com` };

    expect((await send('get', 'oidc', nobody)).status).toBe(200);
    expect((await send('post', 'oidc/stub/start', nobody)).status).toBe(200);
    expect((await send('post', 'oidc/stub/start', nobody, {}, { Accept: 'text/html' })).status).toBe(303);
    expect((await send('post', 'oidc/stub/start', nobody, { returnTo: 'x' })).status).toBe(422);
    expect((await send('post', 'oidc/none/start', nobody)).status).toBe(404);
    expect((await send('post', 'oidc/dead/start', nobody)).status).toBe(502);
    const begun = new OidcBrowser(t);
    await begun.start('stub');
    for (const by of [begun, nobody]) expect((await send('get', 'oidc/stub/callback?state=x', by)).status).toBe(303);
    expect((await send('get', 'oidc/none/callback', begun)).status).toBe(404);
    expect((await send('post', 'oidc/stub/callback', nobody, { state: 'x' })).status).toBe(303);

    expect((await send('post', 'oidc/stub/link', own)).status).toBe(200);
    expect((await send('post', 'oidc/stub/link', stale)).body.code).toBe('STEP_UP_REQUIRED');
    expect((await send('post', 'step-up/oidc/stub', own)).body.code).toBe('IDENTITY_NOT_FOUND');
    await own.back(stub.authorize(await own.start('stub', {}, 'oidc/stub/link'), claims));
    expect((await send('post', 'step-up/oidc/stub', own)).status).toBe(200);
    expect((await send('post', 'step-up/oidc/stub', nobody)).status).toBe(401);
    const { body } = await send('get', 'identities', own);
    expect(body).toHaveLength(1);
    const second = new OidcBrowser(t);
    const taken = { sub: `${platform}-2`, email: user.email, email_verified: true };
    await second.back(stub.authorize(await second.start('stub'), taken));
    expect((await send('get', 'identities/kept', second)).status).toBe(401);
    expect((await send('post', 'oidc/stub/link-kept', second)).status).toBe(401);
    await second.post('login', { email: user.email, password: PASSWORD });
    expect((await send('get', 'identities/kept', second)).body).toHaveLength(1);
    expect((await send('post', 'oidc/stub/link-kept', second)).body.code).toBe('IDENTITY_IN_USE');
    expect((await send('post', 'oidc/none/link-kept', second)).status).toBe(404);
    expect((await send('post', 'oidc/stub/link-kept', own)).body.code).toBe('LOGIN_EXPIRED');
    expect((await send('delete', 'identities/none', own)).body.code).toBe('IDENTITY_NOT_FOUND');

    for (const transport of ['cookie', 'bearer']) {
      const by = new OidcBrowser(t);
      const answer = await by.back(stub.authorize(await by.start('stub', { exchange: 'browser' }), claims));
      const { exchange: token } = fragmentOf(answer);
      expect((await send('post', 'oidc/exchange', nobody, { token })).body.code).toBe('LOGIN_EXPIRED');
      expect((await send('post', 'oidc/exchange', by, { token, transport })).status).toBe(200);
    }
    expect((await send('delete', `identities/${body[0].id}`, own)).status).toBe(200);
    await second.post('login', { email: user.email, password: PASSWORD });
    expect((await send('post', 'oidc/stub/link-kept', second)).status).toBe(200);
  });
});
