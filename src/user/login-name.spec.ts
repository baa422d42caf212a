import { describe, expect, it, jest } from '@jest/globals';
import { normalizeLogin, spellingsOf } from './login-name.js';

describe('normalizeLogin', () => {
  it.each([
    ['Ａlice@Example.com', 'alice@example.com'],
    ['  ada@example.com\t', 'ada@example.com'],
    ['ﬁona@example.com', 'fiona@example.com'],
    ['zoe\u0301@example.com', 'zo\u00e9@example.com'],
    ['', ''],
    ['user@пример.рф', 'user@xn--e1afmkfd.xn--p1ai'],
    ['user@straße.de', 'user@xn--strae-oqa.de'],
    ['plain пример', 'plain пример'],
  ])('R21: %j is %j', (login, expected) => {
    expect(normalizeLogin(login)).toBe(expected);
    expect(normalizeLogin(normalizeLogin(login))).toBe(expected);
  });

  it.each([
    ['an escaped domain', 'user@%65xample.com'],
    ['an escaped international domain', 'user@пример%2e.рф'],
    ['a soft hyphen in the domain', 'user@exam\u00adple.com'],
    ['a soft hyphen in an international domain', 'user@при\u00adмер.рф'],
    ['a number', 'user@127.1'],
    ['a path', 'user@пример.рф/x'],
    ['ASCII dressed up as Punycode', 'user@xn--example-.com'],
  ])('H19: %s makes no name of it that is another', (_, login) => {
    expect(normalizeLogin(login)).toBe(login);
    expect(spellingsOf(login)).toEqual([login]);
  });

  it('H19: an account may be stored under the letters of its domain', () => {
    expect(spellingsOf('user@xn--e1afmkfd.xn--p1ai')).toEqual(['user@xn--e1afmkfd.xn--p1ai', 'user@пример.рф']);
    expect(spellingsOf('ada@example.com')).toEqual(['ada@example.com']);
    expect(spellingsOf('ada')).toEqual(['ada']);
  });
});

it('H6: a domain longer than any stays as it is: for 1,280 different letters its ASCII form takes milliseconds', () => {
  const letters = (count: number) => String.fromCodePoint(...Array.from({ length: count }, (_, i) => 0x4e00 + i));
  for (const login of [`a@${letters(254)}`, `a@${letters(1_280)}`, `a@xn--${'a'.repeat(1_280)}`]) {
    expect(normalizeLogin(login)).toBe(login);
    expect(spellingsOf(login)).toEqual([login]);
  }
  expect(normalizeLogin(`a@${letters(253)}`)).toMatch(/^a@xn--/);
});

it('a login longer than any is not normalized, which would take minutes for a megabyte of combining marks', () => {
  const normalize = jest.spyOn(String.prototype, 'normalize');
  try {
    const login = `A${'\u0301\u0316'.repeat(1_000)}@Example.com`;
    expect(normalizeLogin(` ${login} `)).toBe(login.toLowerCase());
    expect(normalize).not.toHaveBeenCalled();
    // But what has that many characters after NFKC is found, however it is written.
    expect(normalizeLogin(`${' '.repeat(3_000)}${'u\u0308\u0301'.repeat(320)}`)).toBe('\u01d8'.repeat(320));
  } finally {
    normalize.mockRestore();
  }
});
