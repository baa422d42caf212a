import { randomUUID } from 'node:crypto';
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { minutes } from 'nestjs-latchkey';
import request from 'supertest';
import { PLATFORMS } from '../support/app.js';
import { oidcAuth, OidcBrowser } from '../support/oidc.js';
import { eventsHeard, sharedTestApp } from '../support/shared-app.js';
import { startStubProvider, STUB_CLIENT } from '../support/stub-provider.js';

const stub = await startStubProvider();
afterAll(() => stub.close());
const providers = [{ id: 'stub', issuer: stub.issuer, ...STUB_CLIENT, signUp: true }];
const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} };
const HTML = { Accept: 'text/html,application/xhtml+xml' };

describe.each(PLATFORMS)('limits of logins at providers on %s', (platform) => {
  const auth = oidcAuth(providers);
  const t = sharedTestApp({
    platform,
    auth: {
      ...auth,
      trustedProxies: ['127.0.0.1'],
      rateLimits: {
        ...auth.rateLimits,
        policies: {
          ...auth.rateLimits.policies,
          oidc_callback_ip: { limit: 2, window: minutes(5) },
          oidc_logout_ip: { limit: 2, window: minutes(5) },
        },
      },
    },
    startAt: Date.now(),
  });
  const heard = eventsHeard(t);
  let from: { 'X-Forwarded-For': string };
  let nth = 0;
  beforeEach(() => {
    from = { 'X-Forwarded-For': `192.0.2.${++nth}` };
  });

  it('F58: answers of providers are limited per address: a browser ends on its page, a script gets 429', async () => {
    const by = new OidcBrowser(t);
    const url = new URL(stub.authorize(await by.start('stub'), { sub: randomUUID() }));
    const back = (headers: object) => by.get(`oidc/stub/callback${url.search}`, { ...from, ...headers });
    const forged = () => {
      const headers = { ...from, ...HTML, Cookie: '__Host-session-oidc=another' };
      return request(t.url).get('/auth/oidc/stub/callback?state=x&code=y').set(headers);
    };
    for (let i = 0; i < 2; i++) {
      const failed = await forged();
      expect([failed.status, failed.get('Location')]).toEqual([303, '/login?error=LOGIN_EXPIRED']);
    }
    const browser = await back(HTML);
    expect([browser.status, browser.get('Location')]).toEqual([303, '/login?error=RATE_LIMITED']);
    expect(browser.headers).toMatchObject({
      'retry-after': String(minutes(5) / 1000),
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'ratelimit-policy': expect.stringContaining('oidc_callback_ip'),
    });
    const script = await back({ Accept: 'application/json' });
    expect([script.status, script.body.code]).toEqual([429, 'RATE_LIMITED']);
    expect(script.get('Retry-After')).toBe(String(minutes(5) / 1000));
    // Negative control: the state is not spent, and another address has a limit of its own.
    const elsewhere = await by.get(`oidc/stub/callback${url.search}`, { ...HTML, 'X-Forwarded-For': '192.0.2.200' });
    expect([elsewhere.status, elsewhere.get('Location')]).toEqual([303, '/']);
  });

  it('F58: who has begun no login uses up no limit, and asks no storage', async () => {
    const by = new OidcBrowser(t);
    const url = new URL(
      stub.authorize(await by.start('stub'), { sub: randomUUID(), email: `${randomUUID()}@example.com` }),
    );
    heard.length = 0;
    // As an image on the page of a stranger: cookies of SameSite=Lax do not come with it.
    const embedded = (query: string) => request(t.url).get(`/auth/oidc/stub/callback${query}`).set(from);
    t.queries.reset();
    for (const query of [url.search, `?state=${'A'.repeat(43)}&code=y`, '?error=access_denied', '']) {
      const refused = await embedded(query).set(HTML);
      expect([refused.status, refused.get('Location')]).toEqual([303, '/login?error=LOGIN_EXPIRED']);
      expect(refused.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' });
      expect(refused.headers).not.toHaveProperty('ratelimit');
    }
    expect([t.queries.statements, heard]).toEqual([[], []]);
    // Negative control: the browser that has begun it gets in, and is counted.
    const back = await by.get(`oidc/stub/callback${url.search}`, { ...from, ...HTML });
    expect([back.get('Location'), back.get('RateLimit')]).toEqual(['/', expect.stringContaining('r=1;')]);
  });

  it('F68: logouts by browsers and refused logout tokens are limited per address; those of a provider are not', async () => {
    const logOut = () => request(t.url).post('/auth/oidc/stub/logout').set(from).send({});
    const tell = (token: string, headers: Record<string, string> = from) =>
      request(t.url).post('/auth/oidc/stub/backchannel-logout').set(headers).type('form').send({ logout_token: token });
    const token = () => {
      const iat = Math.floor(t.clock.now() / 1000);
      const claims = { iss: stub.issuer, aud: 'notes', iat, exp: iat + 120, sub: 'nobody', events: EVENTS };
      return stub.signedBy({ ...claims, jti: randomUUID() });
    };
    for (let i = 0; i < 5; i++) await tell(token()).expect(200);
    await tell('x.y.z').expect(400);
    await logOut().expect(200);
    for (const refused of [await tell(token()), await logOut()]) {
      expect([refused.status, refused.body.code]).toEqual([429, 'RATE_LIMITED']);
      expect(refused.get('Retry-After')).toBe(String(minutes(5) / 1000));
    }
    await tell(token(), { 'X-Forwarded-For': '192.0.2.201' }).expect(200);
    t.clock.advance(minutes(5));
    await tell(token()).expect(200);
  });
});
