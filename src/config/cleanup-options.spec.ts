import { describe, expect, it } from '@jest/globals';
import { isAuthError } from '../auth.errors.js';
import { days, hours } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';
import type { AuthOptions } from './auth-options.js';

const secrets = ['a test secret that is long enough: 0123456789'];

function mistakesOf(options: Partial<AuthOptions>): readonly string[] {
  try {
    AuthConfig.from({ secrets, ...options });
  } catch (error) {
    if (isAuthError(error, 'INVALID_CONFIG')) return error.facts.mistakes;
    throw error;
  }
  return [];
}

describe('cleanup and audit', () => {
  it('the defaults: on and hourly; off, and 90 days', () => {
    const { cleanup, audit } = AuthConfig.from({ secrets });
    expect(cleanup).toMatchObject({ enabled: true, interval: hours(1), batch: 5_000 });
    expect(audit).toMatchObject({ enabled: false, retention: days(90) });
  });

  it.each([
    ['cleanup.enabled', { cleanup: { enabled: 'yes' } }],
    ['cleanup.interval', { cleanup: { interval: 999 } }],
    ['cleanup.interval', { cleanup: { interval: days(21) } }], // setTimeout would fire at once
    ['cleanup.batch', { cleanup: { batch: 0 } }],
    ['cleanup.longestHold', { cleanup: { longestHold: 0 } }],
    ['cleanup.leeway', { cleanup: { leeway: -1 } }],
    ['cleanup.leeway', { cleanup: { leeway: Number.NaN } }],
    ['audit.retention', { audit: { retention: hours(23) } }],
    ['audit.retention', { audit: { retention: Number.POSITIVE_INFINITY } }],
    ['audit.queue', { audit: { queue: 0 } }],
    ['cleanup.often is not an option', { cleanup: { often: true } }],
  ])('%s is checked at boot', (name, options) => {
    expect(mistakesOf(options as Partial<AuthOptions>)).toEqual([expect.stringContaining(name)]);
  });

  it('the limits themselves are allowed', () => {
    expect(mistakesOf({ cleanup: { interval: 1_000, batch: 1, leeway: 0 }, audit: { retention: days(1) } })).toEqual(
      [],
    );
  });
});
