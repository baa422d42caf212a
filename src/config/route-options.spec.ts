import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { AuthConfig } from './auth-config.js';

describe('routes', () => {
  it('are none by default', () => {
    expect(AuthConfig.from({ secrets: ['x'.repeat(32)] }).routes).toBeUndefined();
  });

  it.each<[string, unknown, RegExp]>([
    ['a text for a flag', { path: 'auth', clearSiteData: 'false' }, /^routes\.clearSiteData must be true or false\.$/],
    ['no path', { path: '' }, /^routes\.path must be a path/],
    ['an unknown option', { path: 'auth', logout: true }, /^routes\.logout is not an option/],
  ])('refuse %s', (_, routes, remedy) => {
    expect(mistakesOf(withSecrets({}), routes)).toEqual([expect.stringMatching(remedy)]);
  });

  it.each([null, 5, 'auth'])('%j is a mistake, not a crash', (routes) => {
    expect(mistakesOf(withSecrets({}), routes)).toContain('routes must be an object.');
  });
});
