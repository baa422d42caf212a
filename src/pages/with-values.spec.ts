import { expect, it } from '@jest/globals';
import { withValues } from './with-values.js';

it('writes each value as it is, with what String.replace or another name would make of it', () => {
  const values = { browser: '$& {system} $1', system: "$$ $` $'" };
  expect(withValues('{browser} on {system}, {browser}', values)).toBe("$& {system} $1 on $$ $` $', $& {system} $1");
  expect(withValues('{other} {toString} {}', values)).toBe('{other} {toString} {}');
});
