import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { days, hours } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';

describe('audit settings', () => {
  it('are off by default, with a retention of 90 days', () => {
    const { audit } = AuthConfig.from({ secrets: ['x'.repeat(32)] });
    expect(audit).toMatchObject({ enabled: false, retention: days(90) });
  });

  it.each([
    ['audit.enabled', { enabled: 1 }],
    ['audit.retention', { retention: hours(23) }],
    ['audit.retention', { retention: Number.POSITIVE_INFINITY }],
    ['audit.queue', { queue: 0 }],
  ])('a wrong %s is named: %j', (name, audit) => {
    expect(mistakesOf(withSecrets({ audit }))).toEqual([expect.stringContaining(name)]);
  });

  it('the limits themselves are allowed', () => {
    expect(mistakesOf(withSecrets({ audit: { retention: days(1), queue: 1 } }))).toEqual([]);
  });
});
