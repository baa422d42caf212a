import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hours } from 'nestjs-latchkey';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import { signInAs } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { SoftwareAuthenticator } from '../support/authenticator.js';
import { AnswerChecker, emptyDocument } from '../support/openapi.js';
import { cookiesOf, ORIGIN, PASSKEYS } from '../support/passkeys.js';

describe.each(PLATFORMS)('the document of %s, passkeys', (platform) => {
  let t: TestApp;
  let checker: AnswerChecker;
  beforeAll(async () => {
    t = await startTestApp({ platform, auth: PASSKEYS });
    checker = new AnswerChecker(withAuthPaths(emptyDocument('3.1.0'), t.app));
  });
  afterAll(() => t?.close());

  /** Sends it, and fails if the answer is not what the document says. */
  async function send(
    method: 'get' | 'post' | 'patch' | 'delete',
    path: string,
    cookies: readonly string[],
    body: object = {},
  ): Promise<Response> {
    const agent = request(t.url);
    const asked = agent[method](`/auth/${path}`).set('Cookie', [...cookies]);
    const answer = await (method === 'get' || method === 'delete' ? asked : asked.send(body));
    expect(checker.mistakes(method, `/auth/${path}`, body, answer)).toEqual([]);
    return answer;
  }

  it('every route is answered as it says', async () => {
    const [user, device] = [await createUser(t.app), new SoftwareAuthenticator(ORIGIN)];
    const signIn = (proofs: string[], age = 0) =>
      signInAs(t.app, user.id, { proofs, authenticatedAt: t.clock.now() - age });
    const first = [await signIn(['password'])];
    const begun = await send('post', 'passkeys/options', first);
    expect((await send('post', 'passkeys/options', [])).status).toBe(401);
    const response = device.register(begun.body);
    const added = await send('post', 'passkeys', first, { response, name: 'Laptop' });
    expect(added.status).toBe(201);
    const own = [await signIn(['passkey'])];
    expect((await send('post', 'passkeys', own, { response })).body.code).toBe('PASSKEY_REFUSED');
    expect((await send('post', 'passkeys', own, {})).body.code).toBe('INVALID_INPUT');
    expect((await send('post', 'passkeys', first, { response })).body.code).toBe('STEP_UP_REQUIRED');
    expect((await send('get', 'passkeys', own)).status).toBe(200);
    expect((await send('patch', `passkeys/${added.body.id}`, own, { name: 'Phone' })).status).toBe(200);
    expect((await send('patch', 'passkeys/none', own, { name: 'Phone' })).body.code).toBe('PASSKEY_NOT_FOUND');

    const toLogIn = await send('post', 'passkey-login/options', []);
    const login = { response: device.use(toLogIn.body) };
    expect((await send('post', 'passkey-login', [], login)).body.code).toBe('INVALID_CREDENTIALS');
    expect((await send('post', 'passkey-login', cookiesOf(toLogIn), login)).status).toBe(200);

    const held = await send('post', 'login', [], { email: user.email, password: PASSWORD });
    const { token } = held.body;
    const second = await send('post', '2fa/passkey/options', cookiesOf(held), { token });
    expect((await send('post', '2fa/passkey/options', [], { token })).body.code).toBe('SECOND_FACTOR_REFUSED');
    const verify = { token, method: 'passkey', response: device.use(second.body) };
    expect((await send('post', '2fa/verify', cookiesOf(held), verify)).status).toBe(200);

    const stale = [await signIn(['passkey'], hours(1))];
    const toStepUp = await send('post', 'step-up/passkey/options', stale);
    const stepUp = { method: 'passkey', response: device.use(toStepUp.body) };
    expect((await send('post', 'step-up', stale, stepUp)).status).toBe(200);
    expect((await send('delete', 'passkeys/none', own)).body.code).toBe('PASSKEY_NOT_FOUND');
    await t.db.query(`UPDATE users SET password_hash = '!' WHERE id = '${user.id}'`);
    expect((await send('delete', `passkeys/${added.body.id}`, own)).body.code).toBe('LAST_LOGIN_METHOD');
  });
});
