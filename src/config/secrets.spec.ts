import { describe, expect, it } from '@jest/globals';
import { mistakesOf } from '../../test/support/config-mistakes.js';

const secret = 'x'.repeat(32);

describe('secrets', () => {
  it.each<[string, object, RegExp]>([
    ['no secrets', {}, /at least one secret/],
    ['an empty list', { secrets: [] }, /at least one secret/],
    ['a text instead of a list', { secrets: secret }, /must be a list/],
    ['the same secret twice', { secrets: [secret, secret] }, /twice/],
    ['16 characters of two UTF-16 units', { secrets: ['😀'.repeat(16)] }, /at least 32 characters/],
    ['a secret of blanks', { secrets: [' '.repeat(40)] }, /at least 32 characters/],
    ['a variable that is not set', { secrets: [undefined] }, /secrets\[0\] is undefined: the environment variable/],
    ['a hole in the list', { secrets: Array.from({ length: 1 }) }, /secrets\[0\]/],
  ])('%s is a mistake', (_, options, remedy) => {
    expect(mistakesOf(options)).toEqual([expect.stringMatching(remedy)]);
  });

  it('32 characters of any kind are a secret', () => {
    expect(mistakesOf({ secrets: ['😀'.repeat(32)] })).toEqual([]);
  });

  it('a mistake never shows a secret', () => {
    expect(mistakesOf({ secrets: ['hunter2'] }).join()).not.toContain('hunter2');
  });
});
