import { describe, expect, it } from '@jest/globals';
import { BackoffSettings } from '../config/rate-limit-settings.js';
import { backoffDelay, backoffSteps, bucketOf, resetAt, secondsUntil, subjectKey } from './rate-limit.policy.js';

describe('subjectKey', () => {
  it.each([
    [' Ａlice@Example.com ', 'alice@example.com'],
    ['192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::/64'],
    ['2001:db8::/64', '2001:db8::/64'],
    ['room/64', 'room/64'],
    ['', ''],
  ])('%j is %j', (subject, key) => expect(subjectKey(subject)).toBe(key));

  it('hashes what does not fit, and what looks like a hash', () => {
    expect(subjectKey('x'.repeat(150))).toBe('x'.repeat(150));
    expect(subjectKey('x'.repeat(151))).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(subjectKey('\u{1F600}'.repeat(150))).toBe('\u{1F600}'.repeat(150));
    const hashed = subjectKey('x'.repeat(151));
    expect(subjectKey(hashed)).not.toBe(hashed);
    expect(subjectKey('sha256:unknown')).not.toBe(bucketOf('e', { limit: 1, window: 1 }, null).subject);
  });
});

it('R26: clients of unknown address share a bucket of ten times the limit', () => {
  expect(bucketOf('login_ip', { limit: 20, window: 900 }, null)).toMatchObject({ limit: 200, window: 900 });
});

it('a unit comes back when the oldest counted event has the age of the window', () => {
  expect(resetAt({ window: 900 }, { oldest: 100 }, 500)).toBe(1000);
  expect(resetAt({ window: 900 }, { oldest: null }, 500)).toBe(1400);
});

it('seconds are rounded up, and at least one', () => {
  expect([0, 0.001, 1000, 1000.001, -5].map((left) => secondsUntil(left, 0))).toEqual([1, 1, 1, 2, 1]);
});

describe('back-off', () => {
  it('0.5, 1, 2, 4, 5, 5 s', () => {
    const settings = new BackoffSettings();
    expect([0, 1, 2, 3, 4, 5, 6, 1000].map((n) => backoffDelay(n, settings))).toEqual([
      0, 500, 1000, 2000, 4000, 5000, 5000, 5000,
    ]);
    expect(backoffSteps(settings)).toBe(5);
  });

  it('ends at maxDelay also where that is less than the first', () => {
    expect(backoffSteps({ base: 10, maxDelay: 5, window: 100 })).toBe(1);
  });
});
