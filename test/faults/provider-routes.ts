import { EphemeralTokenService, SessionService, type AuthUser } from 'nestjs-latchkey';
import { IdentityStore } from 'nestjs-latchkey/engine';
import { IdentityService } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { challengeOfVerifier } from '../../src/oidc/oidc-requests.js';
import { createUser, type TestApp } from '../support/app.js';
import { identityOf } from '../support/identities.js';
import { SESSION } from '../support/mailed-codes.js';
import { cookiesIn } from '../support/two-factor.js';
import type { Visit } from './public-routes.js';

const VERIFIER = 'v'.repeat(43);
/** What is looked at no further without the keys of the provider. */
const UNVERIFIED = [{ alg: 'RS256' }, {}, 'x']
  .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  .join('.');

/** How the routes of logins at providers are visited. The provider itself is away all the time (502). */
export async function providerVisitsOf(t: TestApp, name: string): Promise<Visit[]> {
  const { app } = t;
  const account = (role: string) => createUser(app, `${name}-provider-${role}@example.com`);
  const send = (method: 'get' | 'post' | 'delete', path: string, cookie = '', body?: object) => {
    const asked = request(t.url)[method](`/auth/${path}`);
    return asked.set(cookie === '' ? {} : { Cookie: cookie }).send(body);
  };
  const linked = async (user: AuthUser) => {
    const identity = identityOf(user);
    await app.get(IdentityStore).add(identity);
    return identity.id;
  };
  const asking = await account('asking');
  await linked(asking);
  const askingIn = await signInAs(app, asking.id);
  const unlinking = await account('unlinking');
  const unlinked = await linked(unlinking);
  const unlinkingIn = await signInAs(app, unlinking.id);
  const entering = await account('entering');
  const token = await app.get(EphemeralTokenService).issue('oidc_exchange', {
    username: entering.email,
    challengeId: challengeOfVerifier(VERIFIER),
    firstFactor: { authenticatedAt: t.clock.now(), tokensInvalidatedAfter: entering.tokensInvalidatedAfter ?? null },
    proved: { userId: entering.id, proofs: ['oidc'], transport: 'cookie' },
  });
  const keeping = await account('keeping');
  const { provider, issuer, subject, email } = identityOf(keeping);
  const kept = await app
    .get(EphemeralTokenService)
    .issue('oidc_link', { account: keeping.id, email: email!, identity: { provider, issuer, subject } });
  const keepingIn = `${await signInAs(app, keeping.id)}; ${SESSION}-oidc-link=${kept}`;
  const isLinked = async () => (await app.get(IdentityService).list(keeping.id)).length > 0;
  const isUnlinked = async () => (await app.get(IdentityService).list(unlinking.id)).length === 0;
  const nothing = (route: string, healthy: number, ask: () => request.Test): Visit => ({
    name: route,
    credential: 'none',
    healthy,
    needsNothing: true,
    send: ask,
  });
  /** By a limit of its address. */
  const counted = (route: string, healthy: number, ask: () => request.Test): Visit => ({
    name: route,
    credential: 'none',
    healthy,
    writes: true,
    send: ask,
  });
  const live = (route: string, healthy: number, ask: () => request.Test, writes = false): Visit => ({
    name: route,
    credential: 'live',
    healthy,
    writes,
    send: ask,
  });
  const COUNTED = true;
  return [
    nothing('GET oidc', 200, () => send('get', 'oidc')),
    counted('GET oidc/:provider/callback', 303, () => send('get', 'oidc/idp/callback', `${SESSION}-oidc=begun`)),
    counted('POST oidc/:provider/logout', 200, () => send('post', 'oidc/idp/logout', '', {})),
    counted('POST oidc/:provider/backchannel-logout', 502, () =>
      send('post', 'oidc/idp/backchannel-logout', '', { logout_token: UNVERIFIED }),
    ),
    nothing('POST oidc/:provider/callback', 303, () => send('post', 'oidc/idp/callback', '', {})),
    counted('POST oidc/:provider/start', 502, () => send('post', 'oidc/idp/start', '', {})),
    live('POST oidc/:provider/link', 502, () => send('post', 'oidc/idp/link', askingIn, {}), COUNTED),
    live('POST step-up/oidc/:provider', 502, () => send('post', 'step-up/oidc/idp', askingIn, {}), COUNTED),
    live('GET identities', 200, () => send('get', 'identities', askingIn)),
    live('GET identities/kept', 200, () => send('get', 'identities/kept', askingIn)),
    {
      name: 'POST oidc/:provider/link-kept',
      credential: 'once',
      healthy: 200,
      writes: true,
      send: () => send('post', `oidc/${provider}/link-kept`, keepingIn),
      happened: isLinked,
      done: isLinked,
    },
    {
      name: 'DELETE identities/:id',
      credential: 'once',
      healthy: 200,
      writes: true,
      send: () => send('delete', `identities/${unlinked}`, unlinkingIn),
      happened: isUnlinked,
      done: isUnlinked,
    },
    {
      name: 'POST oidc/exchange',
      credential: 'once',
      healthy: 200,
      writes: true,
      send: () => send('post', 'oidc/exchange', '', { token, verifier: VERIFIER }),
      happened: async () => (await app.get(SessionService).listForUser(entering.id)).length > 0,
      done: async (answer) => (await request(t.url).get('/guarded').set('Cookie', cookiesIn(answer))).status === 200,
    },
  ];
}
