import { describe, expect, it } from '@jest/globals';
import { normalizeLogin } from './login-name.js';

describe('normalizeLogin', () => {
  it.each([
    ['Ａlice@Example.com', 'alice@example.com'],
    ['  ada@example.com\t', 'ada@example.com'],
    ['ﬁona@example.com', 'fiona@example.com'],
    ['zoe\u0301@example.com', 'zo\u00e9@example.com'],
    ['', ''],
  ])('R21: %j is %j', (login, expected) => {
    expect(normalizeLogin(login)).toBe(expected);
    expect(normalizeLogin(normalizeLogin(login))).toBe(expected);
  });
});
