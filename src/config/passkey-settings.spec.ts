import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { AuthConfig } from './auth-config.js';

const baseUrl = 'https://app.example.com';
const rpName = 'Notes';
const mistakes = (passkeys: object, options: object = { baseUrl }, extras: object = {}) =>
  mistakesOf(withSecrets(options), undefined, { flows: { passkeys: { rpName, ...passkeys } }, ...extras });

describe('flows.passkeys', () => {
  it.each<[string, object, object, object]>([
    ['of the page', { baseUrl }, {}, { rpId: 'app.example.com', origins: [baseUrl] }],
    ['above it', { baseUrl }, { rpId: 'example.com' }, { rpId: 'example.com', origins: [baseUrl] }],
    [
      'of a developer',
      { baseUrl: 'http://localhost:3000', cookie: { secure: false } },
      {},
      { rpId: 'localhost', origins: ['http://localhost:3000'] },
    ],
    [
      'without baseUrl',
      {},
      { rpId: 'example.com', origins: ['https://a.example.com', `android:apk-key-hash:${'a'.repeat(43)}`] },
      { rpId: 'example.com', origins: ['https://a.example.com', `android:apk-key-hash:${'a'.repeat(43)}`] },
    ],
  ])('belong to a domain %s', (_, options, passkeys, expected) => {
    const config = AuthConfig.from(withSecrets(options) as never, { flows: { passkeys: { rpName, ...passkeys } } });
    expect(config.flows.passkeys).toMatchObject({ rpName, ...expected });
  });

  const WRONG: readonly [RegExp, object, object?][] = [
    [/rpName must be the name/, { rpName: ' ' }],
    [/needs baseUrl/, {}, {}],
    [/needs baseUrl/, { rpId: 'example.com' }, {}],
    [/rpId must be a domain/, { rpId: 'https://example.com' }],
    [/rpId must be a domain/, { rpId: '127.0.0.1' }],
    [/rpId: the host of baseUrl is an address/, {}, { baseUrl: 'https://127.0.0.1' }],
    [/origins must be a list/, { origins: [] }],
    [/origins must be a list/, { origins: ['https://app.example.com/path'] }],
    [/origins must be a list/, { origins: ['http://app.example.com'] }],
    [/is not within the domain 'example.org'/, { rpId: 'example.org' }],
    [/is not within the domain/, { origins: ['https://notapp.example.com'], rpId: 'app.example.com' }],
    [/page must be a path/, { page: 'https://elsewhere.example' }],
    [/routes must be true or false/, { routes: 1 }],
    [/colour is not an option/, { colour: 'red' }],
  ];
  it.each(WRONG.map(([expected, passkeys, options = { baseUrl }]) => [expected, passkeys, options] as const))(
    'says %s for %j',
    (expected, passkeys, options) => {
      expect(mistakes(passkeys, options)).toEqual([expect.stringMatching(expected)]);
    },
  );

  it('needs the package, stored sessions and a name, each with its remedy, in one list', () => {
    const options = { baseUrl, session: { scheme: 'signed-cookie' } };
    expect(mistakes({ rpName: '' }, options, { missing: ['@simplewebauthn/server'] })).toEqual([
      expect.stringContaining('rpName'),
      expect.stringContaining('npm install @simplewebauthn/server'),
      expect.stringContaining("session: { scheme: 'database' }"),
    ]);
  });
});
