import { generateKeyPairSync, verify } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import type { OAuth2Provider, OidcProvider } from '../../config/oidc-settings.js';
import { checkOidc, hasStepUp, OidcSettings } from '../../config/oidc-settings.js';
import { OptionChecker } from '../../config/option-checker.js';
import { FrozenClock } from '../../testing/frozen-clock.js';
import { apple, auth0, discord, github, google, keycloak, microsoft, okta } from './index.js';

const CLIENT = { clientId: 'notes', clientSecret: 'secret' };
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const PEM = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const APPLE = { clientId: 'com.example.web', teamId: 'TEAM567890', keyId: 'KEY4567890', privateKey: PEM };

const ALL = [
  google(CLIENT),
  microsoft(CLIENT),
  apple(APPLE),
  okta({ ...CLIENT, issuer: 'https://example.okta.com/' }),
  auth0({ ...CLIENT, domain: 'example.eu.auth0.com' }),
  keycloak({ ...CLIENT, url: 'https://id.example.com/', realm: 'our staff' }),
  github(CLIENT),
  discord(CLIENT),
];

describe('ready-made providers', () => {
  it('are settings without a mistake, each with an id of its own', () => {
    const check = new OptionChecker();
    const settings = Object.assign(new OidcSettings(), { providers: ALL });
    checkOidc(check, 'flows.oidc', settings, { baseUrl: 'https://app.example.com' });
    expect(() => check.throwIfAny()).not.toThrow();
    expect(ALL.map(({ id, issuer }) => [id, issuer])).toEqual([
      ['google', 'https://accounts.google.com'],
      ['microsoft', 'https://login.microsoftonline.com/common/v2.0'],
      ['apple', 'https://appleid.apple.com'],
      ['okta', 'https://example.okta.com'],
      ['auth0', 'https://example.eu.auth0.com/'],
      ['keycloak', 'https://id.example.com/realms/our%20staff'],
      ['github', 'https://github.com/login/oauth'],
      ['discord', 'https://discord.com'],
    ]);
  });

  it('F62: open no accounts and link none by their address, unless that is written', () => {
    for (const { signUp, link } of ALL) expect([signUp, link]).toEqual([undefined, undefined]);
    const written = google({
      ...CLIENT,
      id: 'staff',
      signUp: true,
      link: 'verified-email',
      authoritativeFor: ['x.example'],
    });
    expect(written).toMatchObject({
      id: 'staff',
      signUp: true,
      link: 'verified-email',
      authoritativeFor: ['x.example'],
    });
    expect(google({ ...CLIENT, id: undefined }).id).toBe('google');
  });

  it('F67: offer a step-up only where a user who is logged in is asked again, unless that is written', () => {
    expect(ALL.filter(hasStepUp).map(({ id }) => id)).toEqual(['microsoft', 'okta', 'auth0', 'keycloak']);
    expect(hasStepUp(google({ ...CLIENT, stepUp: true }))).toBe(true);
  });

  it('Apple: the secret is signed for five minutes, with the key of the team', async () => {
    const clock = new FrozenClock(1_700_000_000_500);
    const provider = apple({ ...APPLE, clock });
    const secret = await (provider.clientSecret as () => string | Promise<string>)();
    const [header, claims, signature] = secret.split('.') as [string, string, string];
    const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as object;
    expect(read(header)).toEqual({ alg: 'ES256', kid: 'KEY4567890' });
    expect(read(claims)).toEqual({
      iss: 'TEAM567890',
      sub: 'com.example.web',
      aud: 'https://appleid.apple.com',
      iat: 1_700_000_000,
      exp: 1_700_000_300,
    });
    const key = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const;
    expect(verify('sha256', Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, 'base64url'))).toBe(true);
    expect(provider).toMatchObject({ responseMode: 'form_post', clientAuthentication: 'post' });
  });

  it('T6: Apple: a key that is none is refused without being shown, and nothing shows one that is', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
    for (const wrong of ['', 'a secret text', String(rsa)]) {
      expect(() => apple({ ...APPLE, privateKey: wrong })).toThrow(
        new TypeError('apple({ privateKey }) must be the text of AuthKey_<keyId>.p8, with its BEGIN and END lines.'),
      );
    }
    expect(JSON.stringify(apple(APPLE))).not.toContain('PRIVATE');
  });

  const answers = (pages: Record<string, unknown>) => (url: string) => {
    if (!(url in pages)) throw new Error(`It asks for ${url}`);
    return Promise.resolve(pages[url]);
  };
  const profileOf = (provider: OAuth2Provider, pages: Record<string, unknown>) => provider.profile(answers(pages));

  describe('GitHub', () => {
    const USER = 'https://api.github.com/user';
    const user = { id: 583231, login: 'octocat', name: null, email: 'typed@example.com' };
    const email = (address: string, primary: boolean, verified: boolean) => ({ email: address, primary, verified });

    it.each([
      ['the primary one', [email('b@x.example', false, true), email('a@x.example', true, true)], 'a@x.example', true],
      ['one that is not verified', [email('a@x.example', true, false)], 'a@x.example', false],
      ['none', [], null, false],
      ['none that is primary', [email('b@x.example', false, true)], null, false],
    ])('F61: is known by its number; its address: %s', async (_, emails, address, verified) => {
      expect(await profileOf(github(CLIENT), { [USER]: user, [`${USER}/emails`]: emails })).toEqual({
        subject: '583231',
        email: address,
        emailVerified: verified,
        name: 'octocat',
      });
    });

    it.each([
      ['a number that is a text', { ...user, id: '583231' }, []],
      ['no number', { ...user, id: undefined }, []],
      ['a verified that is a text', user, [{ email: 'a@x.example', primary: true, verified: 'true' }]],
      ['an error', { message: 'Bad credentials' }, { message: 'Bad credentials' }],
    ])('refuses %s', async (_, told, emails) => {
      const profile = profileOf(github(CLIENT), { [USER]: told, [`${USER}/emails`]: emails });
      await expect(profile).rejects.toThrow();
    });
  });

  describe('Discord', () => {
    const ME = 'https://discord.com/api/v10/users/@me';
    const user = {
      id: '80351110224678912',
      username: 'nelly',
      global_name: 'Nelly',
      email: 'n@x.example',
      verified: true,
    };

    it.each([
      [user, { email: 'n@x.example', emailVerified: true }],
      [
        { ...user, verified: false },
        { email: 'n@x.example', emailVerified: false },
      ],
      [
        { ...user, verified: undefined, email: null },
        { email: null, emailVerified: false },
      ],
    ])('F61: is known by its number: %j', async (told, expected) => {
      const profile = await profileOf(discord(CLIENT), { [ME]: told });
      expect(profile).toEqual({ subject: '80351110224678912', name: 'Nelly', ...expected });
    });

    it.each([{ ...user, verified: 'true' }, { ...user, id: 8 }, { ...user, id: 'x' }, {}])(
      'refuses %j',
      async (told) => {
        await expect(profileOf(discord(CLIENT), { [ME]: told })).rejects.toThrow();
      },
    );
  });

  it('Microsoft: the tenant is in the issuer', () => {
    const provider: OidcProvider = microsoft({ ...CLIENT, tenant: 'organizations' });
    expect(provider.issuer).toBe('https://login.microsoftonline.com/organizations/v2.0');
    expect(provider).not.toHaveProperty('tenant');
  });
});
