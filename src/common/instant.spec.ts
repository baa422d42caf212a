import { describe, expect, it } from '@jest/globals';
import { formatInstant, parseInstant } from './instant.js';

const NEW_YEAR = Date.UTC(2025, 0, 1);

describe('parseInstant reads what pydantic 2.13 reads', () => {
  it.each([
    ['2025-01-01T00:00:00Z', NEW_YEAR],
    ['2025-01-01T00:00:00.120000Z', NEW_YEAR + 120],
    ['2025-01-01T00:00:00.123456Z', NEW_YEAR + 123.456],
    ['2025-01-01T00:00:00.120Z', NEW_YEAR + 120],
    ['2025-01-01T00:00:00.1Z', NEW_YEAR + 100],
    ['2025-01-01T00:00:00.123456789Z', NEW_YEAR + 123.456],
    ['2025-01-01T00:00:00,5Z', NEW_YEAR + 500],
    ['2025-01-01T01:00:00+01:00', NEW_YEAR],
    ['2024-12-31T23:00:00-0100', NEW_YEAR],
    ['2025-01-01t00:00:00z', NEW_YEAR],
    ['2025-01-01 00:00Z', NEW_YEAR],
    ['2025-01-01T00:00:00', NEW_YEAR],
    ['2025-01-01', NEW_YEAR],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
    ['1735689600', NEW_YEAR],
    ['1735689600.5', NEW_YEAR + 500],
    [1_735_689_600, NEW_YEAR],
    [1_735_689_600.123456, NEW_YEAR + 123.456],
    [1_735_689_600_123, NEW_YEAR + 123],
    [0, 0],
    [-1, -1000],
    [20_000_000_000, 20_000_000_000_000],
    [20_000_000_001, 20_000_000_001],
    ['0001-01-01', Date.parse('0001-01-01T00:00:00Z')],
    ['9999-12-31T23:59:59.999999Z', Date.UTC(9999, 11, 31, 23, 59, 59, 999)],
  ])('%j', (text, instant) => {
    expect(parseInstant(text)).toBe(instant);
  });

  it.each([
    [
      '',
      ' 2025-01-01',
      '2025-01-01 ',
      '2025-01-01T00:00:00Z\n',
      '2025-01-01Z',
      '2025-1-1',
      '2025/01/01',
      '0x10',
      '1e9',
    ],
    [
      '2025-02-29',
      '2025-02-30T00:00:00Z',
      '2025-04-31T00:00:00.000001Z',
      '2025-13-01T00:00:00Z',
      '2025-00-01',
      '2025-01-00',
    ],
    ['2025-01-01T24:00:00Z', '2025-01-01T00:60:00Z', '2025-01-01T23:59:60Z', '2025-01-01T00:00:00+24:00', '0000-01-01'],
    [
      'nan',
      'Infinity',
      Number.NaN,
      Number.POSITIVE_INFINITY,
      1e300,
      253_402_300_800_000,
      null,
      undefined,
      true,
      [],
      {},
    ],
  ])('refuses %j and its like', (...values: unknown[]) => {
    for (const value of values) expect([value, parseInstant(value)]).toEqual([value, null]);
  });
});

describe('formatInstant', () => {
  it.each([
    [NEW_YEAR, '2025-01-01T00:00:00Z'],
    [NEW_YEAR + 120, '2025-01-01T00:00:00.120000Z'],
    [NEW_YEAR + 0.001, '2025-01-01T00:00:00.000001Z'],
    [-0.001, '1969-12-31T23:59:59.999999Z'],
  ])('%d is %s, and reads back the same', (instant, text) => {
    expect(formatInstant(instant)).toBe(text);
    expect(parseInstant(text)).toBe(instant);
  });
});
