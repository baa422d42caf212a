import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { days, minutes, seconds } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';

describe('session settings', () => {
  it('have the defaults of the design', () => {
    expect(AuthConfig.from({ secrets: ['x'.repeat(32)] }).session).toEqual({
      scheme: 'database',
      tokenFormat: 'opaque',
      ttl: days(30),
      extendBelow: days(7),
      absoluteLifetime: days(90),
      maxPerUser: 25,
      rotationGrace: seconds(30),
      remembered: null,
    });
  });

  it.each<[string, object, RegExp]>([
    ['an unknown scheme', { scheme: 'jwt' }, /^session\.scheme must be 'database' or 'signed-cookie'\.$/],
    ['an unknown format', { tokenFormat: null }, /^session\.tokenFormat must be 'opaque' or 'signed'\.$/],
    ['half a millisecond', { ttl: 0.5, extendBelow: 0, rotationGrace: 0 }, /session\.ttl/],
    ['an absolute lifetime of 401 days', { absoluteLifetime: days(401) }, /400 days/],
    ['no absolute lifetime', { absoluteLifetime: Number.POSITIVE_INFINITY }, /400 days/],
    ['an idle timeout past the absolute one', { absoluteLifetime: days(20) }, /longer than/],
    ['extension above the ttl', { extendBelow: days(30) }, /shorter than session\.ttl/],
    ['a negative threshold', { extendBelow: -1 }, /shorter than session\.ttl/],
    ['no session at all', { maxPerUser: 0 }, /session\.maxPerUser/],
    ['a negative grace', { rotationGrace: -1 }, /rotationGrace must be 0/],
    ['a grace that is no number', { rotationGrace: Number.NaN }, /rotationGrace/],
    ['a grace of more than 5 minutes', { rotationGrace: minutes(5) + 1 }, /at most minutes\(5\)/],
    [
      'a grace as long as the ttl',
      { ttl: seconds(20), extendBelow: 0, rotationGrace: seconds(20) },
      /rotationGrace .* shorter than session\.ttl/,
    ],
    [
      'an idle timeout of remembered logins past their absolute one',
      { remembered: { ttl: days(91) } },
      /^session\.remembered\.ttl is longer/,
    ],
    ['an unknown lifetime', { remembered: { idle: 1 } }, /session\.remembered\.idle is not an option/],
  ])('refuse %s', (_, session, remedy) => {
    expect(mistakesOf(withSecrets({ session }))).toEqual([expect.stringMatching(remedy)]);
  });

  it.each([0, 1, minutes(5)])('take a rotation grace of %d ms', (rotationGrace) => {
    expect(mistakesOf(withSecrets({ session: { rotationGrace } }))).toEqual([]);
  });

  it('a ttl shorter than the grace is no mistake where nothing is rotated', () => {
    const session = { scheme: 'signed-cookie', ttl: seconds(1), extendBelow: 0 };
    expect(mistakesOf(withSecrets({ session }))).toEqual([]);
  });
});
