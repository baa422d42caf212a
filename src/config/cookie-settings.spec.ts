import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { AuthConfig } from './auth-config.js';

const secrets = ['x'.repeat(32)];

describe('cookie settings', () => {
  it('have the defaults of the design', () => {
    const config = AuthConfig.from({ secrets });
    expect(config.cookie).toEqual({ name: 'session', secure: true, hostPrefix: true, sameSite: 'lax' });
    expect(config.cookieName).toBe('__Host-session');
  });

  it('take the prefix off the cookie when it is not secure', () => {
    expect(AuthConfig.from({ secrets, cookie: { secure: false } }).cookieName).toBe('session');
  });

  it.each<[string, object, RegExp]>([
    ['a name with a prefix', { name: '__Host-sid' }, /adds that itself/],
    ['a name with a space', { name: 'a b' }, /RFC 6265/],
    ['a text for a flag', { hostPrefix: 'false' }, /^cookie\.hostPrefix must be true or false\.$/],
    ['an unknown SameSite', { sameSite: 'Lax' }, /^cookie\.sameSite must be 'lax', 'strict' or 'none'\.$/],
    ['SameSite=None without Secure', { sameSite: 'none', secure: false }, /needs cookie\.secure/],
  ])('refuse %s', (_, cookie, remedy) => {
    expect(mistakesOf(withSecrets({ cookie }))).toEqual([expect.stringMatching(remedy)]);
  });
});
