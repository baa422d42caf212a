import { describe, expect, it } from '@jest/globals';
import { FrozenClock } from '../testing/frozen-clock.js';
import { SystemClock } from './clock.js';
import { days, hours, minutes, seconds } from './duration.js';

describe('SystemClock', () => {
  it('agrees with Date.now() and never runs backwards within a millisecond', () => {
    const clock = new SystemClock();
    const readings = Array.from({ length: 100_000 }, () => clock.now());
    expect(Math.abs(readings.at(-1)! - Date.now())).toBeLessThan(50);
    expect(readings.filter((now, i) => i > 0 && now < readings[i - 1]!)).toEqual([]);
  });

  it('tells instants within one millisecond apart', () => {
    const clock = new SystemClock();
    const readings = Array.from({ length: 100_000 }, () => clock.now());
    expect(readings.some((reading) => !Number.isInteger(reading))).toBe(true);
  });
});

describe('FrozenClock', () => {
  it('stands still, advances and can be set', () => {
    const clock = new FrozenClock();
    expect(clock.now()).toBe(Date.UTC(2025, 0, 1));
    clock.advance(days(1) + hours(1) + minutes(1) + seconds(1) + 0.001);
    expect(clock.now()).toBe(Date.UTC(2025, 0, 2, 1, 1, 1) + 0.001);
    clock.set('2030-06-01T00:00:00Z');
    expect(clock.now()).toBe(Date.UTC(2030, 5, 1));
    expect(() => clock.set('soon')).toThrow(TypeError);
  });
});
