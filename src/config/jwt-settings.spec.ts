import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { days, hours } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';

describe('jwt settings', () => {
  it('have the defaults of the source system', () => {
    const { jwt } = AuthConfig.from({ secrets: ['x'.repeat(32)] });
    expect(jwt).toEqual({ algorithm: 'HS256', ttl: hours(2), audience: null, sessions: false, registry: false });
  });

  it.each([
    ['jwt.algorithm', { algorithm: 'none' }],
    ['jwt.algorithm', { algorithm: 'RS256' }],
    ['jwt.algorithm', { algorithm: ['HS256'] }],
    ['jwt.ttl', { ttl: 0 }],
    ['jwt.ttl', { ttl: Number.POSITIVE_INFINITY }],
    ['jwt.ttl', { ttl: days(401) }],
    ['jwt.audience', { audience: '' }],
    ['jwt.audience', { audience: ['my-app'] }],
    ['jwt.sessions', { sessions: 'yes' }],
    ['jwt.registry', { sessions: true, registry: 'yes' }],
    ['jwt.registry', { registry: true }],
    ['jwt.secret', { secret: 'x' }],
    ['jwt', 5],
  ])('a wrong %s is named: %j', (name, jwt) => {
    expect(mistakesOf(withSecrets({ jwt }))).toEqual([expect.stringContaining(`${name} `)]);
  });
});
