import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { AuthConfig } from './auth-config.js';

const baseUrl = 'https://app.example.com';
const good = { id: 'idp', issuer: 'https://idp.example.com', clientId: 'notes', clientSecret: 'a shared secret' };
const oauth = {
  ...good,
  authorizationEndpoint: 'https://idp.example.com/authorize',
  tokenEndpoint: 'https://idp.example.com/token',
  profile: () => Promise.reject(new Error()),
};
const mistakes = (oidc: object, options: object = { baseUrl }, extras: object = {}) =>
  mistakesOf(withSecrets(options), undefined, { flows: { oidc }, ...extras });

describe('flows.oidc', () => {
  it('shows no secret of a provider to whoever inspects the configuration', () => {
    const config = AuthConfig.from(withSecrets({ baseUrl }) as never, { flows: { oidc: { providers: [good] } } });
    expect(inspect(config, { depth: 9 })).not.toContain(good.clientSecret);
    const { clientSecret } = config.flows.oidc!.providers[0]!;
    expect(typeof clientSecret === 'function' && clientSecret()).toBe(good.clientSecret);
  });

  it.each<[string, object]>([
    ['a provider', good],
    ['a public client', { ...good, clientSecret: undefined }],
    ['one on this machine', { ...good, issuer: 'http://localhost:8080/realms/notes' }],
    ['plain OAuth 2', oauth],
    ['links by address', { ...good, link: 'verified-email', authoritativeFor: ['example.com'] }],
  ])('takes %s', (_, provider) => {
    expect(mistakes({ providers: [provider] })).toEqual([]);
  });

  it.each<[RegExp, object]>([
    [/id must be a small letter/, { id: 'Idp' }],
    [/id must be a small letter/, { id: 'a/b' }],
    [/issuer must be an https address/, { issuer: 'http://idp.example.com' }],
    [/issuer must be an https address/, { issuer: 'https://idp.example.com/?a=b' }],
    [/clientId must be/, { clientId: '' }],
    [/clientSecret must be/, { clientSecret: 7 }],
    [/scope must have openid/, { scope: 'email' }],
    [/algorithms must list/, { algorithms: ['HS256'] }],
    [/algorithms must list/, { algorithms: ['none'] }],
    [/algorithms must list/, { algorithms: [] }],
    [/responseMode must be/, { responseMode: 'fragment' }],
    [/link must be/, { link: 'always' }],
    [/needs authoritativeFor/, { link: 'verified-email' }],
    [/authoritativeFor must list/, { authoritativeFor: ['@example.com'] }],
    [/authorizationParameters must be texts/, { authorizationParameters: { state: 'x' } }],
    [/assurance must be a function/, { assurance: 2 }],
    [/stepUp must be true or false/, { stepUp: 'never' }],
    [/profile must be a function/, { ...oauth, profile: 'https://idp.example.com/me' }],
    [/tokenEndpoint must be an https address/, { ...oauth, tokenEndpoint: 'http://idp.example.com' }],
    [/is not an option/, { acr: 'x' }],
  ])('refuses: %s', (expected, provider) => {
    expect(mistakes({ providers: [{ ...good, ...provider }] })).toContainEqual(expect.stringMatching(expected));
  });

  it('refuses no provider at all, two of one name, two that are one, and a page elsewhere', () => {
    expect(mistakes({ providers: [good] }, {})).toContainEqual(expect.stringMatching(/needs baseUrl/));
    expect(mistakes({ providers: [] })).toContainEqual(expect.stringMatching(/at least one provider/));
    expect(mistakes({ providers: [good, good] })).toEqual([
      expect.stringMatching(/an id of its own/),
      expect.stringMatching(/the same issuer and clientId/),
    ]);
    expect(mistakes({ providers: [good], page: 'https://evil.example' })).toContainEqual(
      expect.stringMatching(/page must be a path/),
    );
    const missing = { missing: ['openid-client'] };
    expect(mistakes({ providers: [good] }, { baseUrl }, missing)).toContainEqual(
      expect.stringMatching(/npm install openid-client/),
    );
    const signed = { baseUrl, session: { scheme: 'signed-cookie' } };
    expect(mistakes({ providers: [good] }, signed)).toContainEqual(expect.stringMatching(/scheme: 'database'/));
  });
});
