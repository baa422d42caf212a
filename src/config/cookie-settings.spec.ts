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
      path: '/',
      partitioned: false,
      clearDomains: [],
    });
    expect(config.cookieName).toBe('__Host-session');
  });

  it('take the prefix off the cookie when it is not secure', () => {
    expect(AuthConfig.from({ secrets, cookie: { secure: false } }).cookieName).toBe('session');
  });

  it.each<[string, object, string]>([
    ['a domain', { domain: 'example.com' }, '__Secure-session'],
    ['a path', { path: '/app' }, '__Secure-session'],
    ['both, and no prefix wanted', { domain: 'example.com', path: '/app', hostPrefix: false }, 'session'],
    ['a domain over plain http', { domain: 'example.com', secure: false }, 'session'],
    ['a partition', { partitioned: true, sameSite: 'none' }, '__Host-session'],
  ])('RFC 6265bis 4.1.3: the name of a cookie with %s', (_, cookie, name) => {
    expect(AuthConfig.from({ secrets, cookie }).cookieName).toBe(name);
  });

  it('a domain is that of baseUrl, or above it', () => {
    const mistakes = (domain: string) =>
      mistakesOf(withSecrets({ baseUrl: 'https://app.example.com', cookie: { domain } }));
    for (const domain of ['example.com', 'app.example.com'])
      expect(AuthConfig.from({ secrets, baseUrl: 'https://app.example.com', cookie: { domain } }).cookie.domain).toBe(
        domain,
      );
    for (const domain of ['other.example.com', 'ample.com', 'x.app.example.com'])
      expect(mistakes(domain)).toEqual([expect.stringMatching(/^cookie\.domain must be the host of baseUrl/)]);
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
    ['a domain with a leading dot', { domain: '.example.com' }, /^cookie\.domain must be a domain/],
    ['a domain that is an address', { domain: '192.0.2.1' }, /^cookie\.domain must be a domain/],
    ['a domain of one label', { domain: 'com' }, /^cookie\.domain must be a domain/],
    ['a domain that is a header', { domain: 'a.b; Secure' }, /^cookie\.domain must be a domain/],
    ['no domain, said as null', { domain: null }, /^cookie\.domain must be a domain/],
    ['its own domain among those to clear', { domain: 'a.b', clearDomains: ['a.b'] }, /must not list cookie\.domain/],
    ['a relative path', { path: 'app' }, /^cookie\.path must be/],
    ['a path that is a header', { path: '/; Domain=evil.example' }, /^cookie\.path must be/],
    ['a partition over plain http', { partitioned: true, secure: false }, /partitioned needs cookie\.secure/],
    ['a text for partitioned', { partitioned: 'no' }, /^cookie\.partitioned must be true or false\.$/],
    ['SameSite=None without Secure', { sameSite: 'none', secure: false }, /needs cookie\.secure/],
  ])('refuse %s', (_, cookie, remedy) => {
    expect(mistakesOf(withSecrets({ cookie }))).toEqual([expect.stringMatching(remedy)]);
  });
});
