import { describe, expect, it } from '@jest/globals';
import { trimOptionalWhitespace } from './optional-whitespace.js';

describe('trimOptionalWhitespace', () => {
  it.each([
    ['', ''],
    [' \t ', ''],
    ['a', 'a'],
    ['\t a b\t', 'a b'],
  ])('%j is %j', (text, expected) => expect(trimOptionalWhitespace(text)).toBe(expected));

  it.each(['\u00a0', '\u0085', '\ufeff', '\u2003', '\v', '\f', '\r', '\n'])('keeps %j', (space) => {
    expect(trimOptionalWhitespace(`${space}a${space}`)).toBe(`${space}a${space}`);
  });

  it('takes a megabyte of spaces in its stride', () => {
    expect(trimOptionalWhitespace(`a${' '.repeat(1_000_000)}b`)).toHaveLength(1_000_002);
  });
});
