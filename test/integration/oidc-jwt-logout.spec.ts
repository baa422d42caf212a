import { randomUUID } from 'node:crypto';
import { afterAll, expect, it } from '@jest/globals';
import request from 'supertest';
import { fragmentOf, oidcAuth, OidcBrowser } from '../support/oidc.js';
import { sharedTestApp } from '../support/shared-app.js';
import { startStubProvider, STUB_CLIENT } from '../support/stub-provider.js';

const stub = await startStubProvider();
afterAll(() => stub.close());
const t = sharedTestApp({
  auth: {
    ...oidcAuth([{ id: 'stub', issuer: stub.issuer, ...STUB_CLIENT, signUp: true }]),
    jwt: { sessions: true, registry: true },
  },
  startAt: Date.now(),
});

/** A session JWT of a login by this session of the provider. */
async function tokenOf(sid: string): Promise<string> {
  const by = new OidcBrowser(t);
  const claims = { sub: 'ada', email: 'ada@example.com', email_verified: true, sid };
  const answer = await by.back(stub.authorize(await by.start('stub', { exchange: 'browser' }), claims));
  const { body } = await by.post('oidc/exchange', { token: fragmentOf(answer)['exchange'], transport: 'bearer' });
  return (body as { token: string }).token;
}

it('Back-Channel Logout by sid: ends the session JWTs that it has begun, and no others', async () => {
  const [one, two] = [await tokenOf('one'), await tokenOf('two')];
  const statuses = () =>
    Promise.all(
      [one, two].map(
        async (token) => (await request(t.url).get('/auth/session').auth(token, { type: 'bearer' })).status,
      ),
    );
  expect(await statuses()).toEqual([200, 200]);
  const iat = Math.floor(t.clock.now() / 1000);
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
  const token = stub.signedBy({ iss: stub.issuer, aud: 'notes', iat, jti: randomUUID(), sid: 'one', events });
  await request(t.url)
    .post('/auth/oidc/stub/backchannel-logout')
    .type('form')
    .send({ logout_token: token })
    .expect(200);
  expect(await statuses()).toEqual([401, 200]);
});
