import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { seconds } from '../common/duration.js';

describe('cache settings', () => {
  it.each<[string, object]>([
    ['cache.enabled', { enabled: 'yes' }],
    ['cache.channel', { channel: 'redis' }],
    ['cache.url', { url: 'mysql://host/database' }],
    ['cache.url', { url: 'postgres://host/%zz' }],
    ['cache.url', { url: '' }],
    ['cache.maxStaleness', { maxStaleness: 99 }],
    ['cache.maxStaleness', { maxStaleness: seconds(61) }],
    ['cache.ttl', { ttl: 0 }],
    ['cache.maxSessions', { maxSessions: -1 }],
    ['cache.maxRevokedTokens', { maxRevokedTokens: 1.5 }],
  ])('a wrong %s is named: %j', (name, cache) => {
    expect(mistakesOf(withSecrets({ cache }))).toEqual([expect.stringContaining(`${name} must be`)]);
  });

  it.each(['sslrootcert', 'sslcert', 'sslkey'])(
    'H21: a %s that cannot be read is a mistake, not a broken listener',
    (name) => {
      const cache = { url: `postgres://host/database?sslmode=verify-full&${name}=/nowhere/to.be.found` };
      expect(mistakesOf(withSecrets({ cache }))).toEqual([
        expect.stringMatching(/cannot be read \(\/nowhere\/to\.be\.found\)/),
      ]);
    },
  );

  it('the limits themselves are allowed', () => {
    const cache = { url: 'postgresql://host/a%20b', maxStaleness: 100, ttl: 1, maxSessions: 0, maxRevokedTokens: 0 };
    expect(mistakesOf(withSecrets({ cache }))).toEqual([]);
  });
});
