import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { minutes } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';

describe('ephemeralTokens', () => {
  it('may be written in part', () => {
    const ephemeralTokens = { password_reset: { ttl: minutes(30) } };
    const config = AuthConfig.from({ secrets: ['x'.repeat(32)], ephemeralTokens });
    expect(config.ephemeralTokens.get('password_reset')).toEqual({ ttl: minutes(30), onePerUser: true });
    expect(config.ephemeralTokens.get('pre_auth')).toEqual({ ttl: minutes(5), binding: 'challengeId' });
  });

  it('name every mistake, each with its remedy', () => {
    const ephemeralTokens = {
      password_reset: { ttl: -1 },
      slicer_download: { binding: 'nothing' },
      'Team Invite': { ttl: minutes(1) },
      invite: {},
      share: { ttl: minutes(1), onePerUser: 'yes', binding: '' },
    };
    expect(mistakesOf(withSecrets({ ephemeralTokens }))).toEqual([
      expect.stringMatching(/^ephemeralTokens\.password_reset\.ttl must be a length of time/),
      expect.stringMatching(/^ephemeralTokens\.slicer_download\.binding is not an option/),
      expect.stringMatching(/^ephemeralTokens\.Team Invite: the name must be/),
      expect.stringMatching(/^ephemeralTokens\.invite\.ttl must be a length of time/),
      expect.stringMatching(/^ephemeralTokens\.share\.onePerUser must be true or false/),
      expect.stringMatching(/^ephemeralTokens\.share\.binding must be the name/),
    ]);
  });

  it.each([[[]], [{ invite: 5 }]])('%j is a mistake, not a crash', (ephemeralTokens) => {
    expect(mistakesOf(withSecrets({ ephemeralTokens })).join()).toMatch(/^ephemeralTokens/);
  });
});
