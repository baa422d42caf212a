import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { AuthConfig } from './auth-config.js';

describe('assurance settings', () => {
  it('F54: mail is no factor by default', () => {
    expect(AuthConfig.from({ secrets: ['x'.repeat(32)] }).assurance).toEqual({ emailCounts: false });
  });

  it.each([
    ['assurance.emailCounts', { emailCounts: 'yes' }],
    ['assurance.emailCounts', { emailCounts: 1 }],
    ['assurance.mailCounts', { mailCounts: true }],
  ])('a wrong %s is named: %j', (name, assurance) => {
    expect(mistakesOf(withSecrets({ assurance }))).toEqual([expect.stringContaining(name)]);
  });
});
