import { expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { AuthConfig } from './auth-config.js';

it.each<[string, unknown, RegExp]>([
  ['an origin with a wildcard', ['https://*.example.com'], /trustedOrigins\[0\]/],
  ['an origin with a path', ['https://app.example.com/path'], /no path/],
  ['the opaque origin', ['null'], /never 'null'/],
  ['the opaque origin as an app', ['null://'], /trustedOrigins\[0\]/],
  ['an app’s origin with a path', ['capacitor://localhost/'], /no path/],
  ['an app’s origin with a wildcard', ['capacitor://*'], /no '\*'/],
  ['an app’s origin in capitals', ['Capacitor://localhost'], /trustedOrigins\[0\]/],
  ['an app’s scheme alone', ['capacitor://'], /trustedOrigins\[0\]/],
  ['files', ['file://localhost'], /trustedOrigins\[0\]/],
  ['a WebSocket address', ['wss://app.example.com'], /trustedOrigins\[0\]/],
  ['a hole in the list', Array.from({ length: 1 }), /trustedOrigins\[0\]/],
  ['a text instead of a list', 'https://app.example.com', /^trustedOrigins must be a list/],
])('trustedOrigins refuse %s', (_, trustedOrigins, remedy) => {
  expect(mistakesOf(withSecrets({ trustedOrigins }))).toEqual([expect.stringMatching(remedy)]);
});

it('trustedOrigins take the origins of app web views', () => {
  const trustedOrigins = ['capacitor://localhost', 'ionic://localhost', 'tauri://localhost', 'app://my.app:8080'];
  expect(AuthConfig.from({ secrets: ['x'.repeat(32)], trustedOrigins }).trustedOrigins).toEqual(trustedOrigins);
});

it.each<[string, unknown]>([
  ['a path', 'https://app.example.com/auth'],
  ['no scheme', 'app.example.com'],
  ['another scheme', 'ftp://app.example.com'],
  ['an app’s origin', 'capacitor://localhost'],
  ['an object', new URL('https://app.example.com')],
])('H17: baseUrl refuses %s', (_, baseUrl) => {
  expect(mistakesOf(withSecrets({ baseUrl }))).toEqual([expect.stringMatching(/^baseUrl must be an origin/)]);
});
