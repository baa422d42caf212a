import { describe, expect, it } from '@jest/globals';
import { AuthError } from '../auth.errors.js';
import { days, hours } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';

const configOf = (jwt: unknown) => AuthConfig.from({ secrets: ['x'.repeat(32)], jwt: jwt as { ttl: number } });

describe('jwt settings', () => {
  it('have the defaults of the source system, and are frozen', () => {
    expect(configOf(undefined).jwt).toEqual({ algorithm: 'HS256', ttl: hours(2), audience: null, sessions: false });
    expect(Object.isFrozen(configOf({ audience: 'my-app' }).jwt)).toBe(true);
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
    ['jwt.secret', { secret: 'x' }],
    ['jwt', 5],
  ])('a wrong %s is named: %j', (name, jwt) => {
    const mistakes = () => configOf(jwt);
    expect(mistakes).toThrow(AuthError);
    expect(mistakes).toThrow(`${name} `);
  });
});
