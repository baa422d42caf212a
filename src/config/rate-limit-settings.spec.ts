import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { minutes } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';

describe('rateLimits', () => {
  it('may be written in part', () => {
    const rateLimits = { policies: { login_ip: { limit: 50 } }, backoff: { base: 100 } };
    const config = AuthConfig.from({ secrets: ['x'.repeat(32)], rateLimits });
    expect(config.rateLimits.policies['login_ip']).toEqual({ limit: 50, window: minutes(15) });
    expect(config.rateLimits.backoff).toMatchObject({ base: 100, maxDelay: 5000 });
    expect(config.rateLimits.onStoreError).toBe('deny');
  });

  it('name every mistake, each with its remedy', () => {
    const rateLimits = {
      policies: { login_ip: { limit: 0 }, share: { limit: 5 }, login_backoff: { limit: 1, window: 1 } },
      backoff: { maxDelay: minutes(20) },
      onStoreError: 'shrug',
      rememberedBlocks: -1,
      durable: 'no',
      typo: true,
    };
    expect(mistakesOf(withSecrets({ rateLimits }))).toEqual([
      expect.stringMatching(/^rateLimits\.typo is not an option/),
      expect.stringMatching(/^rateLimits\.policies\.login_ip\.limit must be a whole number/),
      expect.stringMatching(/^rateLimits\.policies\.share\.window must be a length of time/),
      expect.stringMatching(/^rateLimits\.policies\.login_backoff is reserved/),
      expect.stringMatching(/^rateLimits\.backoff\.window is shorter/),
      expect.stringMatching(/^rateLimits\.onStoreError must be 'deny' or 'allow'/),
      expect.stringMatching(/^rateLimits\.rememberedBlocks must be/),
      'rateLimits.durable must be true or false.',
    ]);
  });

  it.each([5, { policies: [] }, { policies: { login_ip: 5 } }, { backoff: 5 }])(
    '%j is a mistake, not a crash',
    (rateLimits) => {
      expect(mistakesOf(withSecrets({ rateLimits })).join()).toMatch(/^rateLimits/);
    },
  );
});
