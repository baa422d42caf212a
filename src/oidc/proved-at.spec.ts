import { describe, expect, it } from '@jest/globals';
import { days, minutes } from '../common/duration.js';
import { provedAt } from './proved-at.js';

const NOW = Date.UTC(2026, 0, 1);
const BOUNDS = { now: NOW, absoluteLifetime: days(90), freshness: minutes(15), isFreshWithout: false };

describe('F82: when somebody has proved at a provider who they are', () => {
  it.each([
    ['said', NOW - minutes(3), {}, NOW - minutes(3), false],
    ['said by a clock that is ahead', NOW + minutes(3), {}, NOW, false],
    ['said, longer ago than a session lives', NOW - days(400), {}, NOW - days(45), true],
    ['not said', undefined, {}, NOW - days(45), true],
    ['not said, by a provider that is taken for fresh', undefined, { isFreshWithout: true }, NOW, false],
    ['said, and old, by such a provider', NOW - days(1), { isFreshWithout: true }, NOW - days(1), false],
    [
      'not said, for a short session: it is not fresh',
      undefined,
      { absoluteLifetime: minutes(20) },
      NOW - minutes(15),
      true,
    ],
    [
      'not said, where no session outlives freshness',
      undefined,
      { absoluteLifetime: minutes(10) },
      NOW - minutes(5),
      true,
    ],
  ])('%s', (_, authTime, bounds, at, isStale) => {
    expect(provedAt(authTime, { ...BOUNDS, ...bounds })).toEqual({ at, isStale });
  });
});
