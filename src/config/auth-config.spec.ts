import { describe, expect, it } from '@jest/globals';
import { mistakesOf } from '../../test/support/config-mistakes.js';
import { days } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';
import { EXTRA_DEFAULTS } from './extra-defaults.js';
import type { RouteOptions } from './route-options.js';

const secrets = ['x'.repeat(32)];

describe('AuthConfig', () => {
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
    expect(mistakes[0]).toContain('npx nestjs-latchkey secret');
  });

  it.each<[string, unknown, RegExp]>([
    ['no options', undefined, /must be an object/],
    [
      'an unknown option',
      { secrets, sesion: {} },
      /^sesion is not an option \(did you mean session\?\); known options: /,
    ],
    ['the name of a method of objects', { secrets, toString: 1 }, /toString is not an option;/],
    ['an unknown setting', { secrets, session: { maxage: 1 } }, /session\.maxage is not an option; known options: ttl/],
    ['a login page elsewhere', { secrets, loginPage: 'https://evil.example' }, /loginPage/],
    ['a login page on another host', { secrets, loginPage: '//evil.example' }, /loginPage/],
    ['a login page with a backslash', { secrets, loginPage: '/\\evil.example' }, /loginPage/],
    ['a login page with a line break', { secrets, loginPage: '/login\nX: y' }, /loginPage/],
  ])('refuses %s', (_, options, remedy) => {
    expect(mistakesOf(options).join('\n')).toMatch(remedy);
  });

  // The factory may return the settings of flows.
  it.each(Object.keys(EXTRA_DEFAULTS).filter((name) => name !== 'flows'))(
    'says that %s is written beside useFactory',
    (name) => {
      const beside = `${name} is not an option here: write it beside useFactory`;
      expect(mistakesOf({ secrets, [name]: undefined })).toEqual([expect.stringContaining(beside)]);
    },
  );

  it('is frozen, and leaves what the host wrote alone', () => {
    const routes: RouteOptions = { path: 'auth' };
    const options = { secrets: [...secrets], trustedOrigins: [], session: { ttl: days(10), extendBelow: undefined } };
    const config = AuthConfig.from(options, { routes });
    expect(config.session.extendBelow).toBe(days(7));
    for (const part of [config, ...Object.values(config), config.rateLimits.backoff, config.rateLimits.policies]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    for (const part of [routes, options.secrets, options.trustedOrigins, options.session]) {
      expect(Object.isFrozen(part)).toBe(false);
    }
    expect(options.session).toEqual({ ttl: days(10), extendBelow: undefined });
  });
});
