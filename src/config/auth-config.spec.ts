import { describe, expect, it } from '@jest/globals';
import { AuthError } from '../auth.errors.js';
import { days, minutes, seconds } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';
import type { AuthOptions, RouteOptions } from './auth-options.js';

const secrets = ['x'.repeat(32)];

function mistakesOf(options: unknown): readonly string[] {
  try {
    const { routes, ...rest } = (options ?? {}) as AuthOptions & { routes?: RouteOptions };
    AuthConfig.from(options === undefined ? (options as unknown as AuthOptions) : rest, routes);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(AuthError);
    expect((error as AuthError).code).toBe('INVALID_CONFIG');
    return (error as AuthError<'INVALID_CONFIG'>).facts.mistakes;
  }
}

describe('AuthConfig', () => {
  it('fills in the defaults of the design', () => {
    const config = AuthConfig.from({ secrets });
    expect(config.session).toEqual({
      scheme: 'database',
      tokenFormat: 'opaque',
      ttl: days(30),
      extendBelow: days(7),
      absoluteLifetime: days(90),
      maxPerUser: 25,
      rotationGrace: seconds(30),
    });
    expect(config.cookie).toEqual({
      name: 'session',
      secure: true,
      hostPrefix: true,
      sameSite: 'lax',
      clearDomains: [],
    });
    expect(config.cookieName).toBe('__Host-session');
    expect(config.password).toMatchObject({ memoryCost: 19_456, timeCost: 2, parallelism: 1 });
    expect(config.routes).toBeUndefined();
  });

  it('lists every mistake in one error, each with its remedy', () => {
    const mistakes = mistakesOf({
      secrets: ['short'],
      session: { ttl: Number.POSITIVE_INFINITY, maxPerUser: 0 },
      cookie: { sameSite: 'none', secure: false },
      trustedOrigins: ['https://app.example.com/path'],
    });
    expect(mistakes.map((mistake) => mistake.split(' ')[0])).toEqual([
      'secrets[0]',
      'trustedOrigins[0]',
      'session.ttl',
      'session.ttl',
      'session.maxPerUser',
      'cookie.sameSite',
    ]);
    expect(mistakes[0]).toContain('randomBytes(48)');
  });

  it.each<[string, unknown, RegExp]>([
    ['no options', undefined, /must be an object/],
    ['no secrets', {}, /at least one secret/],
    ['an empty list of secrets', { secrets: [] }, /at least one secret/],
    ['the same secret twice', { secrets: [...secrets, ...secrets] }, /twice/],
    ['16 characters of two UTF-16 units', { secrets: ['😀'.repeat(16)] }, /at least 32 characters/],
    ['an unknown option', { secrets, sesion: {} }, /sesion is not an option/],
    [
      'an unknown setting',
      { secrets, session: { maxage: 1 } },
      /session\.maxage is not an option; known options: scheme/,
    ],
    ['an absolute lifetime of 401 days', { secrets, session: { absoluteLifetime: days(401) } }, /400 days/],
    ['no absolute lifetime', { secrets, session: { absoluteLifetime: Number.POSITIVE_INFINITY } }, /400 days/],
    ['an idle timeout past the absolute one', { secrets, session: { absoluteLifetime: days(20) } }, /longer than/],
    ['extension above the ttl', { secrets, session: { extendBelow: days(30) } }, /shorter than session\.ttl/],
    ['a negative threshold', { secrets, session: { extendBelow: -1 } }, /shorter than session\.ttl/],
    ['a negative grace', { secrets, session: { rotationGrace: -1 } }, /rotationGrace must be 0/],
    ['a grace that is no number', { secrets, session: { rotationGrace: Number.NaN } }, /rotationGrace/],
    ['a grace of more than 5 minutes', { secrets, session: { rotationGrace: minutes(5) + 1 } }, /at most minutes\(5\)/],
    [
      'a grace as long as the ttl',
      { secrets, session: { ttl: seconds(20), extendBelow: 0, rotationGrace: seconds(20) } },
      /rotationGrace .* shorter than session\.ttl/,
    ],
    ['a cookie name with a prefix', { secrets, cookie: { name: '__Host-sid' } }, /adds that itself/],
    ['a cookie name with a space', { secrets, cookie: { name: 'a b' } }, /RFC 6265/],
    ['an origin with a wildcard', { secrets, trustedOrigins: ['https://*.example.com'] }, /trustedOrigins\[0\]/],
    ['no origin', { secrets, trustedOrigins: ['null'] }, /trustedOrigins\[0\]/],
    [
      'H30: domains to clear with the prefix on',
      { secrets, cookie: { clearDomains: ['example.com'] } },
      /hostPrefix: false/,
    ],
    [
      'H30: a domain with a dot',
      { secrets, cookie: { hostPrefix: false, clearDomains: ['.example.com'] } },
      /clearDomains/,
    ],
    [
      'H30: a domain that is a header',
      { secrets, cookie: { hostPrefix: false, clearDomains: ['a; Secure'] } },
      /clearDomains/,
    ],
    [
      'H30: a domain that is no list',
      { secrets, cookie: { hostPrefix: false, clearDomains: 'example.com' } },
      /clearDomains/,
    ],
    ['H17: a base address with a path', { secrets, baseUrl: 'https://app.example.com/auth' }, /baseUrl/],
    ['H17: a base address without a scheme', { secrets, baseUrl: 'app.example.com' }, /baseUrl/],
    ['H17: a base address of another scheme', { secrets, baseUrl: 'ftp://app.example.com' }, /baseUrl/],
    ['H17: a base address that is no text', { secrets, baseUrl: new URL('https://app.example.com') }, /baseUrl/],
    ['half a hash at once', { secrets, password: { concurrency: 0.5 } }, /whole number/],
    ['a login page elsewhere', { secrets, loginPage: 'https://evil.example' }, /loginPage/],
    ['a login page on another host', { secrets, loginPage: '//evil.example' }, /loginPage/],
    ['a login page with a backslash', { secrets, loginPage: '/\\evil.example' }, /loginPage/],
    ['a login page with a line break', { secrets, loginPage: '/login\nX: y' }, /loginPage/],
    ['a secret of blanks', { secrets: [' '.repeat(40)] }, /at least 32 characters/],
    ['a hole in a list', { secrets, trustedOrigins: Array.from({ length: 1 }) }, /trustedOrigins\[0\]/],
    ['a bigint', { secrets, password: { parallelism: 1n } }, /password\.parallelism/],
    ['half a millisecond', { secrets, session: { ttl: 0.5, extendBelow: 0 } }, /session\.ttl/],
    ['a text for a flag', { secrets, routes: { path: 'auth', clearSiteData: 'false' } }, /clearSiteData/],
    ['what belongs beside the factory', { secrets, globalGuard: false }, /write it beside useFactory/],
    ['routes without a path', { secrets, routes: { path: '' } }, /routes\.path/],
  ])('refuses %s', (_, options, remedy) => {
    const mistakes = mistakesOf(options);
    expect(mistakes.length).toBeGreaterThan(0);
    expect(mistakes.join('\n')).toMatch(remedy);
  });

  it.each([0, 1, minutes(5)])('takes a rotation grace of %d ms', (rotationGrace) => {
    expect(mistakesOf({ secrets, session: { rotationGrace } })).toEqual([]);
  });

  it('a ttl shorter than the grace is no mistake where nothing is rotated', () => {
    expect(mistakesOf({ secrets, session: { scheme: 'signed-cookie', ttl: seconds(1), extendBelow: 0 } })).toEqual([]);
  });

  it('takes 32 characters of any kind as a secret', () => {
    expect(mistakesOf({ secrets: ['😀'.repeat(32)] })).toEqual([]);
  });

  it('never shows a secret', () => {
    expect(mistakesOf({ secrets: ['hunter2'] }).join()).not.toContain('hunter2');
  });

  it('is frozen, and leaves what the host wrote alone', () => {
    const routes: RouteOptions = { path: 'auth' };
    const options = { secrets: [...secrets], session: { ttl: days(10), extendBelow: undefined } };
    const config = AuthConfig.from(options, routes);
    expect(config.session.extendBelow).toBe(days(7));
    for (const part of [config, config.session, config.cookie, config.password, config.secrets, config.routes]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(Object.isFrozen(routes)).toBe(false);
    expect(options.session).toEqual({ ttl: days(10), extendBelow: undefined });
  });

  it('takes the prefix off the cookie when it is not secure', () => {
    expect(AuthConfig.from({ secrets, cookie: { secure: false } }).cookieName).toBe('session');
  });
});
