import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AuthUser } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { HOSTILE_RETURNS } from '../support/hostile-returns.js';
import { fragmentOf, OidcBrowser, oidcAuth } from '../support/oidc.js';
import { PlainBrowser } from '../support/pages.js';
import { ORIGIN } from '../support/passkeys.js';
import { newAddress, NO_IP_LIMITS } from '../support/registration.js';
import { sharedTestApp } from '../support/shared-app.js';
import { startStubProvider, STUB_CLIENT } from '../support/stub-provider.js';

const LONG = `/${'n'.repeat(2_048)}`;
/** Paths of ours for every browser, though they do not look it. */
const ODD_PATHS = ['/%2f%2fevil.example', '/%5cevil.example', '/..//evil.example', '/@evil.example', '/%0d%0aX:y'];

const stub = await startStubProvider();
afterAll(() => stub.close());

describe.each(PLATFORMS)('F20: no flow leads to another site, on %s', (platform) => {
  const provider = { id: 'stub', issuer: stub.issuer, ...STUB_CLIENT, signUp: true };
  const { flows, rateLimits, ...auth } = oidcAuth([]);
  const t = sharedTestApp({
    platform,
    startAt: Date.now(),
    auth: {
      ...auth,
      flows: {
        ...flows,
        oidc: { providers: [provider] },
        registration: {},
        magicLink: {},
        passwordReset: {},
        pages: {},
      },
      rateLimits: { ...rateLimits, policies: { ...NO_IP_LIMITS?.policies, ...rateLimits.policies } },
    },
  });
  let ada: AuthUser;
  let session: string;
  beforeAll(async () => {
    ada = await createUser(t.app);
    const browser = new OidcBrowser(t, await signInAs(t.app, ada.id));
    await browser.back(stub.authorize(await browser.start('stub', {}, 'oidc/stub/link'), claims()));
    session = `__Host-session=${browser.session}`;
  });
  const by = () => new OidcBrowser(t, session);
  const claims = () => ({ sub: newAddress(), email: newAddress(), email_verified: true });

  it.each([
    ['oidc/stub/start', {}],
    ['oidc/stub/start', { exchange: 'browser' }],
    ['oidc/stub/link', {}],
    ['step-up/oidc/stub', {}],
    ['oidc/stub/logout', {}],
    ['magic-link', { email: 'nobody@example.com' }],
  ])('F20: POST %s with %j refuses each', async (path, body) => {
    const browser = by();
    for (const returnTo of [...HOSTILE_RETURNS, LONG]) {
      const { status, body: refused } = await browser.post(path, { ...body, returnTo });
      expect([returnTo, status, Object.keys(Object(refused.fields))]).toEqual([returnTo, 422, ['returnTo']]);
    }
  });

  it('F20: the pages lead to the account instead', async () => {
    const browser = new PlainBrowser(t.url);
    const own = new PlainBrowser(t.url);
    own.take(session);
    const others: ((next: string) => Promise<{ to: string | null }>)[] = [
      (next) => browser.post('register', { email: newAddress(), password: PASSWORD, next }),
      (next) => browser.post('ask-link', { email: ada.email, next }),
    ];
    for (const [i, next] of [...HOSTILE_RETURNS, ...ODD_PATHS].entries()) {
      const answers = [
        await new PlainBrowser(t.url).post('sign-in', { email: ada.email, password: PASSWORD, next }),
        await own.post('step-up', { chosen: 'password', password: PASSWORD, next }),
        // They read it by the same function, and take longer.
        ...(i % 3 === 0 ? await Promise.all(others.map((ask) => ask(next))) : []),
      ];
      for (const { to } of answers) {
        expect([next, new URL(to ?? '//none', `${ORIGIN}/auth/p/`).origin]).toEqual([next, ORIGIN]);
        if (!ODD_PATHS.includes(next)) expect(decodeURIComponent(to!)).not.toContain('evil');
      }
      if (ODD_PATHS.includes(next)) continue;
      for (const page of ['sign-in', 'step-up']) {
        const { text, to } = await own.open(`${page}?${new URLSearchParams({ next }).toString()}`);
        expect([page, next, `${to ?? ''} ${text}`.includes('evil')]).toEqual([page, next, false]);
      }
    }
  });

  it('F20: a path that only looks hostile stays here, through the provider and back', async () => {
    for (const returnTo of ODD_PATHS) {
      const browser = new OidcBrowser(t);
      const answer = await browser.back(stub.authorize(await browser.start('stub', { returnTo }), claims()));
      expect([returnTo, new URL(answer.get('Location')!, ORIGIN).origin]).toEqual([returnTo, ORIGIN]);
      expect(browser.session).toBeDefined();
    }
  });

  it('F20: what somebody has written into a stored state is looked at again: the browser stays here', async () => {
    const tamper = (returnTo: string) =>
      t.db.query(
        `UPDATE auth_ephemeral_tokens SET payload = jsonb_set(payload::jsonb, '{request,returnTo}', to_jsonb($1::text))
          WHERE token_type = 'oidc_state'`,
        [returnTo],
      );
    // What a text of the database can be: not half a character, and no NUL.
    const writable = HOSTILE_RETURNS.filter((value, i) => i % 2 === 0 && !/[\0\ud800]/.test(value));
    for (const returnTo of [...writable, 'https://evil.example/']) {
      const browser = new OidcBrowser(t);
      const url = await browser.start('stub', { returnTo: '/notes' });
      await tamper(returnTo);
      const answer = await browser.back(stub.authorize(url, claims()));
      expect([returnTo, answer.status, answer.get('Location')]).toEqual([returnTo, 303, '/']);
    }
    // One that is exchanged may lead to a trusted origin, and to no other.
    for (const [returnTo, to] of [
      ['https://spa.example.com/', 'https://spa.example.com/'],
      ['https://evil.example/', '/'],
      ['https://spa.example.com@evil.example/', '/'],
      ['https://spa.example.com.evil.example/', '/'],
    ] as const) {
      const browser = new OidcBrowser(t);
      const url = await browser.start('stub', { returnTo: '/notes', exchange: 'browser' });
      await tamper(returnTo);
      const answer = await browser.back(stub.authorize(url, claims()));
      expect([returnTo, answer.get('Location')!.split('#')[0]]).toEqual([returnTo, to]);
      expect(fragmentOf(answer)['exchange']).toBeDefined();
    }
  });
});
