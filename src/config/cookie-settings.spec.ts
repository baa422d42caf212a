import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { AuthConfig } from './auth-config.js';

const secrets = ['x'.repeat(32)];

describe('cookie settings', () => {
  it('have the defaults of the design', () => {
    const config = AuthConfig.from({ secrets });
    expect(config.cookie).toEqual({
      name: 'session',
      secure: true,
      hostPrefix: true,
      sameSite: 'lax',
      clearDomains: [],
    });
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
    ['H30: domains to clear with the prefix on', { clearDomains: ['example.com'] }, /hostPrefix: false/],
    ['H30: a domain with a dot', { hostPrefix: false, clearDomains: ['.example.com'] }, /clearDomains/],
    ['H30: a domain that is a header', { hostPrefix: false, clearDomains: ['a; Secure'] }, /clearDomains/],
    ['H30: a domain that is no list', { hostPrefix: false, clearDomains: 'example.com' }, /clearDomains/],
    ['SameSite=None without Secure', { sameSite: 'none', secure: false }, /needs cookie\.secure/],
  ])('refuse %s', (_, cookie, remedy) => {
    expect(mistakesOf(withSecrets({ cookie }))).toEqual([expect.stringMatching(remedy)]);
  });
});
