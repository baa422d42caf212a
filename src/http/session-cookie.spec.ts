import { describe, expect, it } from '@jest/globals';
import { days } from '../common/duration.js';
import { AuthConfig } from '../config/auth-config.js';
import type { CookieSettings } from '../config/cookie-settings.js';
import { FrozenClock } from '../testing/frozen-clock.js';
import { SessionCookie } from './session-cookie.js';

const clock = new FrozenClock();
const cookieWith = (cookie: Partial<CookieSettings> = {}) =>
  new SessionCookie(AuthConfig.from({ secrets: ['x'.repeat(32)], cookie }), clock);

describe('SessionCookie', () => {
  const cookie = cookieWith();

  it('K1-K4: __Host-, HttpOnly, Secure, SameSite=Lax, Path=/, no Domain, Max-Age = what is left', () => {
    expect(cookie.set('TOKEN', { expiresAt: clock.now() + days(30) })).toBe(
      '__Host-session=TOKEN; Max-Age=2592000; Path=/; HttpOnly; Secure; SameSite=Lax',
    );
  });

  it('clears under the same attributes', () => {
    expect(cookie.clear()).toBe('__Host-session=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax');
  });

  it.each([
    ['in the past', -5000, 0],
    ['at this instant', 0, 0],
    ['in 1.999 s', 1999, 1],
    ['R36: in 1000 days', days(1000), 34_560_000],
  ])('Max-Age of a session that ends %s', (_, remaining, expected) => {
    expect(cookie.set('T', { expiresAt: clock.now() + remaining })).toContain(`; Max-Age=${expected};`);
  });

  it('without `secure` the prefix goes too', () => {
    expect(cookieWith({ secure: false, name: 'sid', sameSite: 'strict' }).set('T', { expiresAt: clock.now() })).toBe(
      'sid=T; Max-Age=0; Path=/; HttpOnly; SameSite=Strict',
    );
  });

  it('writes and clears domain, path and partition alike, and clears what they replace', () => {
    const own = cookieWith({ domain: 'example.com', path: '/app', partitioned: true, sameSite: 'none' });
    const attributes = 'Domain=example.com; Path=/app; HttpOnly; Secure; Partitioned; SameSite=None';
    expect(own.set('T', { expiresAt: clock.now() })).toBe(`__Secure-session=T; Max-Age=0; ${attributes}`);
    expect(own.clear()).toBe(`__Secure-session=; Max-Age=0; ${attributes}`);
    expect(own.clearTwins()).toEqual([
      '__Secure-session=; Max-Age=0; Path=/app; HttpOnly; Secure; SameSite=None',
      '__Secure-session=; Max-Age=0; Domain=example.com; Path=/app; HttpOnly; Secure; SameSite=None',
    ]);
    expect(own.isOurs(own.clear())).toBe(true);
    for (const twin of own.clearTwins()) expect(own.isOurs(twin)).toBe(false);
  });

  it('knows a Set-Cookie of a handler’s for ours by name, Domain and Path', () => {
    const own = cookieWith({ domain: 'example.com', hostPrefix: false });
    expect(own.isOurs('session=x; domain=.EXAMPLE.com ;Path=/')).toBe(true);
    expect(own.isOurs('session=x; Domain=example.com')).toBe(true);
    expect(own.isOurs('session=x; Domain=; Path=/')).toBe(false);
    expect(own.isOurs('session=x; Domain=example.com; Path=/app')).toBe(false);
    // A browser takes the last of several.
    expect(own.isOurs('session=x; Domain=other.example; Path=/app; Path=/; Domain=example.com')).toBe(true);
    expect(own.isOurs('session=x; Domain=example.com; Path=/; Path=/app')).toBe(false);
    expect(cookie.isOurs('__Host-session=x; Path=/; Secure')).toBe(true);
    expect(cookie.isOurs('__Host-session=x; Path=/; Secure; Partitioned')).toBe(false);
  });

  it.each<[string, string | undefined, string | null]>([
    ['nothing', undefined, null],
    ['an empty header', '', null],
    ['ours alone', '__Host-session=abc', 'abc'],
    ['ours among others', 'a=1; __Host-session=abc;b=2', 'abc'],
    ['R30: two of our name', '__Host-session=abc; __Host-session=def', null],
    ['R30: the same twice', '__Host-session=abc; __Host-session=abc', null],
    ['R30: unprefixed while prefixed is configured', 'session=abc', null],
    ['another prefix', '__Secure-session=abc', null],
    ['a name that ends like ours', 'x__Host-session=abc', null],
    ['a name that begins like ours', '__Host-session2=abc', null],
    ['our name as a value', 'a=__Host-session', null],
    ['no equals sign', '__Host-session', null],
    ['another case: cookie names are case-sensitive', '__host-SESSION=abc', null],
    ['space and tab around name and value', 'a=1;\t __Host-session \t= abc\t ', 'abc'],
    ['H2: a name after U+00A0: another cookie', '\u00a0__Host-session=abc', null],
    ['H2: a name before U+0085', '__Host-session\u0085=abc', null],
    ['H2: another name beside ours, which counts', '\u00a0__Host-session=abc; __Host-session=def', 'def'],
    ['H2: U+00A0 is part of the value', '__Host-session=abc\u00a0', 'abc\u00a0'],
  ])('reads %s', (_, header, token) => {
    expect(cookie.read(header)).toBe(token);
  });

  it('takes a megabyte in its stride', () => {
    expect(cookie.read(`${'a=b; '.repeat(200_000)}__Host-session=abc`)).toBe('abc');
    expect(cookie.read('__Host-session;'.repeat(50_000))).toBeNull();
  });
});
