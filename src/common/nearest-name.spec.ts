import { expect, it } from '@jest/globals';
import { nearestName } from './nearest-name.js';

const NAMES = ['ttl', 'secrets', 'session', 'absoluteLifetime', 'rateLimits'];

it.each([
  ['tll', 'ttl'],
  ['secret', 'secrets'],
  ['sesion', 'session'],
  ['SESSION', 'session'],
  ['absolutLifetme', 'absoluteLifetime'],
  ['ratelimit', 'rateLimits'],
])('%s was probably meant to be %s', (typed, meant) => {
  expect(nearestName(typed, NAMES)).toBe(meant);
});

it.each(['', 'x', 'tx', 'cookieName', 'sessionsOfUsers'])('%j is like none', (typed) => {
  expect(nearestName(typed, NAMES)).toBeUndefined();
});
