import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { days, hours } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';

describe('cleanup settings', () => {
  it('are on and hourly by default', () => {
    const { cleanup } = AuthConfig.from({ secrets: ['x'.repeat(32)] });
    expect(cleanup).toMatchObject({ enabled: true, interval: hours(1), batch: 5_000 });
  });

  it.each([
    ['cleanup.enabled', { enabled: 'yes' }],
    ['cleanup.interval', { interval: 999 }],
    ['cleanup.interval', { interval: days(21) }], // setTimeout would fire at once
    ['cleanup.batch', { batch: 0 }],
    ['cleanup.maxLockTime', { maxLockTime: 0 }],
    ['cleanup.leeway', { leeway: -1 }],
    ['cleanup.leeway', { leeway: Number.NaN }],
    ['cleanup.often is not an option', { often: true }],
  ])('a wrong %s is named: %j', (name, cleanup) => {
    expect(mistakesOf(withSecrets({ cleanup }))).toEqual([expect.stringContaining(name)]);
  });

  it('the limits themselves are allowed', () => {
    expect(mistakesOf(withSecrets({ cleanup: { interval: 1_000, batch: 1, leeway: 0 } }))).toEqual([]);
  });
});
