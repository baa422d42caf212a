import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SystemClock } from 'nestjs-latchkey/engine';
import { FrozenClock } from 'nestjs-latchkey/testing';
import type { OidcProvider } from '../../src/config/oidc-settings.js';
import { OidcClient } from '../../src/oidc/oidc-client.js';
import {
  BAD_DISCOVERY,
  BAD_ENDPOINTS,
  startStubProvider,
  STUB_CLIENT,
  BY_ED25519,
  TAMPERINGS,
  type StubProvider,
} from '../support/stub-provider.js';
import { startTestProvider, TEST_CLIENT, type TestProvider } from '../support/test-provider.js';

const REDIRECT = 'https://app.example.com/auth/oidc/idp/callback';
const ADA = { sub: 'ada-1', email: 'ada@example.com', email_verified: true, name: 'Ada' };
const secretsOf = (provider: { readonly issuer: string }, more: Partial<OidcProvider> = {}): OidcProvider => ({
  id: 'idp',
  issuer: provider.issuer,
  ...TEST_CLIENT,
  ...more,
});
const asked = () => ({
  redirectUri: REDIRECT,
  state: 's'.repeat(43),
  nonce: 'n'.repeat(43),
  codeVerifier: 'v'.repeat(43),
});
const fresh = async () => (await OidcClient.load(new SystemClock()))!;

describe('OidcClient at a certified provider', () => {
  let idp: TestProvider;
  beforeAll(async () => void (idp = await startTestProvider({ redirectUris: [REDIRECT] })));
  afterAll(() => idp?.close());

  it.each(['query', 'form_post'] as const)('tells who has logged in (%s)', async (responseMode) => {
    const client = await fresh();
    const provider = secretsOf(idp, { responseMode });
    const answer = await idp.browserOf(ADA).logIn(await client.authorizationUrl(provider, asked()));
    expect(answer.url.split('?')[0]).toBe(REDIRECT);
    expect(answer.form === null).toBe(responseMode === 'query');
    const parameters = new URLSearchParams(answer.form ?? new URL(answer.url).search);
    expect(parameters.get('iss')).toBe(idp.issuer);
    expect(await client.identity(provider, parameters, asked())).toMatchObject({
      provider: 'idp',
      issuer: idp.issuer,
      subject: 'ada-1',
      email: 'ada@example.com',
      emailVerified: true,
      name: 'Ada',
      aal: 1,
    });
    // The code was spent.
    await expect(client.identity(provider, parameters, asked())).rejects.toMatchObject({ kind: 'failed' });
  });

  it('F67: a proof is asked for again, although the browser is logged in there', async () => {
    const client = await fresh();
    const provider = secretsOf(idp);
    const browser = idp.browserOf(ADA);
    const logIn = async (isProofAsked: boolean) => {
      const { url } = await browser.logIn(await client.authorizationUrl(provider, asked(), { isProofAsked }));
      return client.identity(provider, new URL(url).searchParams, asked());
    };
    await logIn(false);
    const { authTime } = await logIn(true);
    expect(Math.abs(authTime! - Date.now())).toBeLessThan(60_000);
  });

  it('reads the time from the clock of the application: an hour later the ID token has expired', async () => {
    const clock = new FrozenClock(Date.now() + 2 * 3_600_000);
    const client = (await OidcClient.load(clock))!;
    const { url } = await idp.browserOf(ADA).logIn(await client.authorizationUrl(secretsOf(idp), asked()));
    const { searchParams } = new URL(url);
    await expect(client.identity(secretsOf(idp), searchParams, asked())).rejects.toMatchObject({ kind: 'failed' });
  });
});

describe('OidcClient at a provider that does wrong', () => {
  let idp: StubProvider;
  let other: StubProvider;
  beforeAll(async () => void ([idp, other] = await Promise.all([startStubProvider(), startStubProvider()])));
  afterAll(() => Promise.all([idp?.close(), other?.close()]));
  beforeEach(() => idp.tamper({}));

  async function logIn(client: OidcClient, claims: Record<string, unknown> = {}, at = idp) {
    const url = at.authorize(await client.authorizationUrl(secretsOf(at, STUB_CLIENT), asked()), claims);
    return client.identity(secretsOf(at, STUB_CLIENT), new URL(url).searchParams, asked());
  }

  it('negative control: what is not tampered with is accepted', async () => {
    expect(await logIn(await fresh())).toMatchObject({ subject: 'ada', email: 'ada@example.com', emailVerified: true });
  });

  it('of a Keycloak realm too', async () => {
    const keycloak = await startStubProvider({ isKeycloak: true });
    try {
      expect(await logIn(await fresh(), {}, keycloak)).toMatchObject({ issuer: keycloak.issuer, subject: 'ada' });
    } finally {
      await keycloak.close();
    }
  });

  it('F59: accepts EdDSA from a provider for which it is chosen, and there nothing else', async () => {
    const client = await fresh();
    const provider = secretsOf(idp, { ...STUB_CLIENT, algorithms: ['EdDSA'] });
    const chosen = async () => {
      const url = idp.authorize(await client.authorizationUrl(provider, asked()));
      return client.identity(provider, new URL(url).searchParams, asked());
    };
    idp.tamper(BY_ED25519);
    expect(await chosen()).toMatchObject({ subject: 'ada' });
    await expect(logIn(client)).rejects.toMatchObject({ kind: 'failed' });
    const others = ['alg none', 'HS256 with the public key', 'HS256 with the secret of the client'];
    for (const tampering of [{}, ...others.map((name) => TAMPERINGS[name]!)]) {
      idp.tamper(tampering);
      await expect(chosen()).rejects.toMatchObject({ name: 'ProviderFault', kind: 'failed' });
    }
  });

  it.each(Object.keys(TAMPERINGS))('F58, F59, F60: refuses %s', async (name) => {
    const client = await fresh();
    idp.tamper(TAMPERINGS[name]!);
    const kind = name === 'an error instead of a code' ? 'refused' : 'failed';
    const fault = await logIn(client).then(
      () => null,
      (error: Error) => error,
    );
    expect(fault).toMatchObject({ name: 'ProviderFault', kind });
    expect(fault!.message).not.toMatch(/<|evil|\r|code-|access-token|eyJ|ada/);
    // And nothing of it stays: the next login is as ever.
    idp.tamper({});
    expect(await logIn(client)).toMatchObject({ subject: 'ada' });
  });

  it('F60: refuses the code of another provider', async () => {
    const client = await fresh();
    const url = other.authorize(await client.authorizationUrl(secretsOf(other, STUB_CLIENT), asked()));
    const { searchParams } = new URL(url);
    const provider = secretsOf(idp, STUB_CLIENT);
    await expect(client.identity(provider, searchParams, asked())).rejects.toMatchObject({ kind: 'failed' });
    // Without the issuer beside it, too: the code is unknown there.
    searchParams.set('iss', idp.issuer);
    await expect(client.identity(provider, searchParams, asked())).rejects.toMatchObject({ kind: 'failed' });
  });

  it('F58: refuses a code with the verifier of another request', async () => {
    const client = await fresh();
    const url = idp.authorize(await client.authorizationUrl(secretsOf(idp, STUB_CLIENT), asked()));
    const stolen = { ...asked(), codeVerifier: 'w'.repeat(43) };
    const { searchParams } = new URL(url);
    const refused = client.identity(secretsOf(idp, STUB_CLIENT), searchParams, stolen);
    await expect(refused).rejects.toMatchObject({ kind: 'failed' });
  });

  it.each([undefined, null, false, 'true', 1, [true], {}])('F62: email_verified %j is not verified', async (claim) => {
    expect(await logIn(await fresh(), { email_verified: claim })).toMatchObject({ emailVerified: false });
  });

  it.each(['a@example.com, b@example.com', 'a@example.com;b@example.com', 'a', '', 7, null, 'ada\u202e@example.com'])(
    'F17: %j is no address',
    async (email) => {
      expect(await logIn(await fresh(), { email })).toMatchObject({ email: null, emailVerified: false });
    },
  );

  it.each(Object.keys(BAD_DISCOVERY))('F68: ends at %s in place of metadata', async (name) => {
    idp.tamper(BAD_DISCOVERY[name]!);
    const client = await fresh();
    await expect(logIn(client)).rejects.toMatchObject({ name: 'ProviderFault', kind: 'failed' });
    idp.tamper({});
    expect(await logIn(client)).toMatchObject({ subject: 'ada' });
  });

  it.each(Object.keys(BAD_ENDPOINTS))('F68: ends at %s', async (name) => {
    idp.tamper(BAD_ENDPOINTS[name]!);
    await expect(logIn(await fresh())).rejects.toMatchObject({ name: 'ProviderFault', kind: 'failed' });
  });
});
