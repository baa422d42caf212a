import { expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';

it.each<[string, unknown, RegExp]>([
  ['an origin with a wildcard', ['https://*.example.com'], /trustedOrigins\[0\]/],
  ['an origin with a path', ['https://app.example.com/path'], /no path/],
  ['the opaque origin', ['null'], /trustedOrigins\[0\]/],
  ['a hole in the list', Array.from({ length: 1 }), /trustedOrigins\[0\]/],
  ['a text instead of a list', 'https://app.example.com', /^trustedOrigins must be a list/],
])('trustedOrigins refuse %s', (_, trustedOrigins, remedy) => {
  expect(mistakesOf(withSecrets({ trustedOrigins }))).toEqual([expect.stringMatching(remedy)]);
});

it.each<[string, unknown]>([
  ['a path', 'https://app.example.com/auth'],
  ['no scheme', 'app.example.com'],
  ['another scheme', 'ftp://app.example.com'],
  ['an object', new URL('https://app.example.com')],
])('H17: baseUrl refuses %s', (_, baseUrl) => {
  expect(mistakesOf(withSecrets({ baseUrl }))).toEqual([expect.stringMatching(/^baseUrl must be an origin/)]);
});
