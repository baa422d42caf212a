import { describe, expect, it } from '@jest/globals';
import type { AuthError } from '../auth.errors.js';
import { minutes } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';

const SECRETS = ['a test secret that is long enough: 0123456789'];

function mistakesOf(options: object): readonly string[] {
  try {
    AuthConfig.from({ secrets: SECRETS, ...options });
    return [];
  } catch (error) {
    return (error as AuthError<'INVALID_CONFIG'>).facts.mistakes;
  }
}

describe('trustedProxies, ephemeralTokens and rateLimits', () => {
  it('may be left out, and written in part', () => {
    expect(mistakesOf({})).toEqual([]);
    const config = AuthConfig.from({
      secrets: SECRETS,
      ephemeralTokens: { password_reset: { ttl: minutes(30) } },
      rateLimits: { policies: { login_ip: { limit: 50 } }, backoff: { base: 100 } },
    });
    expect(config.ephemeralTokens.get('password_reset')).toEqual({ ttl: minutes(30), onePerUser: true });
    expect(config.rateLimits.policies['login_ip']).toEqual({ limit: 50, window: minutes(15) });
    expect(config.rateLimits.backoff).toMatchObject({ base: 100, longest: 5000 });
    expect(config.rateLimits.onStoreError).toBe('deny');
  });

  it('tells every mistake, each with its remedy', () => {
    const mistakes = mistakesOf({
      trustedProxies: ['::ffff:10.0.0.0/8', '0.0.0.0/0', 'loopback', '10.0.0.0/8'],
      ephemeralTokens: {
        password_reset: { ttl: -1 },
        slicer_download: { binding: 'nothing' },
        'Team Invite': { ttl: minutes(1) },
        invite: {},
      },
      rateLimits: {
        policies: { login_ip: { limit: 0 }, share: { limit: 5 }, login_backoff: { limit: 1, window: 1 } },
        backoff: { longest: minutes(20) },
        onStoreError: 'shrug',
        rememberedBlocks: -1,
        typo: true,
      },
    });
    for (const expected of [
      /^trustedProxies\[0\] must be written as IPv4/,
      /^trustedProxies\[1\] trusts the whole internet/,
      /^trustedProxies\[2\] must be an address or a network/,
      /^ephemeralTokens\.password_reset\.ttl must be a length of time/,
      /^ephemeralTokens\.slicer_download\.binding is not an option/,
      /^ephemeralTokens\.Team Invite: the name must be/,
      /^ephemeralTokens\.invite\.ttl must be a length of time/,
      /^rateLimits\.policies\.login_ip\.limit must be a whole number/,
      /^rateLimits\.policies\.share\.window must be a length of time/,
      /^rateLimits\.policies\.login_backoff is reserved/,
      /^rateLimits\.backoff\.window is shorter/,
      /^rateLimits\.onStoreError must be/,
      /^rateLimits\.rememberedBlocks must be/,
      /^rateLimits\.typo is not an option/,
    ]) {
      expect(mistakes).toContainEqual(expect.stringMatching(expected));
    }
    expect(mistakes).toHaveLength(14);
  });

  it.each([
    ['trustedProxies', true],
    ['trustedProxies', '10.0.0.0/8'],
    ['ephemeralTokens', []],
    ['ephemeralTokens', { invite: 5 }],
    ['rateLimits', 5],
    ['rateLimits', { policies: [] }],
    ['rateLimits', { policies: { login_ip: 5 } }],
    ['rateLimits', { backoff: 5 }],
  ])('%s: %j is a mistake, not a crash', (option, value) => {
    const mistakes = mistakesOf({ [option]: value });
    expect(mistakes.length).toBeGreaterThan(0);
    expect(mistakes.join()).toContain(option);
  });
});
