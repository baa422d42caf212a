import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { PLATFORMS } from '../../support/app.js';
import { OidcBrowser, oidcAuth } from '../../support/oidc.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { startStubProvider, STUB_CLIENT, TAMPERINGS } from '../../support/stub-provider.js';

const stub = await startStubProvider();
afterAll(() => stub.close());

describe.each(PLATFORMS)('an answer of a provider that somebody has tampered with, on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    auth: oidcAuth([{ id: 'stub', issuer: stub.issuer, ...STUB_CLIENT, signUp: true }]),
    startAt: Date.now(),
  });
  const heard = eventsHeard(t);
  let nth = 0;
  let sub: string;
  beforeEach(() => {
    sub = `${platform}-${++nth}`;
    stub.tamper({});
    heard.length = 0;
  });
  const claims = () => ({ sub, email: `${sub}@example.com`, email_verified: true });
  const counted = async (table: string) => (await t.db.query(`SELECT FROM ${table}`)).length;

  it.each(Object.entries(TAMPERINGS))(
    'F58, F59, F60: %s: nobody is logged in, and the state is spent',
    async (name, one) => {
      const by = new OidcBrowser(t);
      const url = await by.start('stub');
      const good = stub.authorize(url, claims());
      const users = await counted('users');
      stub.tamper(one);
      const answer = await by.back(stub.authorize(url, claims()));
      const [, error] = /^\/login\?error=([A-Z_]+)$/.exec(answer.get('Location')!) ?? [];
      expect(['LOGIN_EXPIRED', 'PROVIDER_FAILED', 'PROVIDER_REFUSED']).toContain(error);
      expect([by.session, await counted('users')]).toEqual([undefined, users]);
      expect(heard).toContainEqual(expect.objectContaining({ type: 'login.failed', reason: error, factors: ['oidc'] }));
      stub.tamper({});
      const again = (await by.back(good)).get('Location');
      // Only an answer without our state leaves it alone.
      expect(again).toBe(/state/.test(name) ? '/' : '/login?error=LOGIN_EXPIRED');
    },
  );
});
