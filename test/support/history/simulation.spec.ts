import { describe, expect, it } from '@jest/globals';
import { simulate } from './simulation.js';
import { violationsOf } from './violations.js';

const SEEDS = 60;

describe.each([
  { name: 'no cache', staleness: 0, grace: null },
  { name: 'a cache', staleness: 300_000, grace: null },
  { name: 'no grace but consequences', staleness: 300_000, grace: 0 },
  { name: 'a grace', staleness: 0, grace: 1_000_000 },
  { name: 'a cache and a grace', staleness: 300_000, grace: 1_000_000 },
])('histories of an ideal system with $name', ({ staleness, grace }) => {
  const found = (seed: number, bound: number) =>
    violationsOf(simulate({ seed, staleness, grace }), {
      bound: bound / 1000,
      grace: grace === null ? null : grace / 1000,
    });

  it('show no violation', () => {
    for (let seed = 1; seed <= SEEDS; seed++)
      expect({ seed, found: found(seed, staleness) }).toEqual({ seed, found: [] });
  });

  if (staleness > 0) {
    it('and do, held to a tenth of its bound', () => {
      const caught = Array.from({ length: SEEDS }, (_, seed) => found(seed + 1, staleness / 10).length > 0);
      expect(caught.filter(Boolean).length).toBeGreaterThan(SEEDS / 5);
    });
  }
});

it('sees each wrong answer that is put into a right history', () => {
  const history = simulate({ seed: 7, staleness: 0, grace: null });
  const lookups = history.filter(({ kind, answer }) => kind === 'lookup' && answer);
  // "gone" for a session that is used again later: wrong now, or wrong later.
  const again = lookups.filter((one) =>
    lookups.some((other) => other.session === one.session && other.start > one.end),
  );
  expect(again.length).toBeGreaterThan(20);
  for (const wrong of again) {
    const changed = history.map((operation) => (operation === wrong ? { ...wrong, answer: null } : operation));
    expect(violationsOf(changed, { bound: 0 })).not.toEqual([]);
  }
});
