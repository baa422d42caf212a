import { describe, expect, it } from '@jest/globals';
import { checkedEmail } from './email-address.js';

describe('H19: an e-mail address is exactly one mailbox', () => {
  it.each([
    ['two at a comma', 'ada@example.com,eve@example.com'],
    ['two at a semicolon', 'ada@example.com;eve@example.com'],
    ['a comma in the local part', 'ada,eve@example.com'],
    ['a semicolon in the local part', 'ada;eve@example.com'],
    ['a full-width comma', 'ada，eve@example.com'],
    ['two @', 'ada@eve@example.com'],
    ['a display name', '<ada@example.com>'],
    ['an opening bracket', 'ada<eve@example.com'],
    ['a quoted local part', '"ada"@example.com'],
    ['a comment', 'ada(eve)@example.com'],
    ['a group', 'friends:ada@example.com'],
    ['a backslash', 'ada\\@example.com'],
    ['a blank', 'a da@example.com'],
    ['an ideographic space', 'a\u3000da@example.com'],
    ['a line feed', 'ada@example.com\nbcc:eve@example.com'],
    ['a carriage return before the domain', 'ada@\rexample.com'],
    ['NUL', 'ada\0@example.com'],
    ['a zero-width space', 'ada\u200b@example.com'],
    ['a zero-width space in the domain', 'ada@exam\u200bple.com'],
    ['a soft hyphen', 'a\u00adda@example.com'],
    ['a soft hyphen in the domain', 'ada@exam\u00adple.com'],
    ['a right-to-left override', 'ada\u202e@example.com'],
    ['an isolate', 'ada\u2066@example.com'],
    ['a line separator', 'ada\u2028@example.com'],
    ['a variation selector', 'ada\ufe0f@example.com'],
    ['a Hangul filler', 'ada\u3164@example.com'],
    ['a lone surrogate', 'ada\ud800@example.com'],
    ['a byte order mark within', 'a\ufeffda@example.com'],
    ['no local part', '@example.com'],
    ['no domain', 'ada@'],
    ['no @', 'ada'],
    ['nothing', ''],
    ['an address literal', 'ada@[127.0.0.1]'],
    ['a number for a domain', 'ada@127.1'],
    ['a port', 'ada@example.com:25'],
    ['an escaped domain', 'ada@%65xample.com'],
    ['an empty label', 'ada@example..com'],
    ['a dot at the end', 'ada@example.com.'],
    ['a hyphen at the beginning of a label', 'ada@-example.com'],
    ['ASCII dressed up as Punycode', 'ada@xn--example-.com'],
    ['Punycode that is none', 'ada@xn--a-ecp.ru'],
    ['321 characters', `${'a'.repeat(309)}@example.com`],
  ])('H19: %s is refused', (_, address) => {
    expect(checkedEmail(address)).toBeNull();
  });

  it.each([
    ['Ada.Lovelace+notes@Example.COM', 'ada.lovelace+notes@example.com'],
    ["o'hara_1!#$%&*/=?^`{|}~-@mail.example.co.uk", "o'hara_1!#$%&*/=?^`{|}~-@mail.example.co.uk"],
    ['zoë@example.com', 'zoë@example.com'],
    ['用户@例子.广告', '用户@xn--fsqu00a.xn--4rr70v'],
    ['root@localhost', 'root@localhost'],
    [`${'a'.repeat(308)}@example.com`, `${'a'.repeat(308)}@example.com`],
  ])('H19: %s is %s', (address, expected) => {
    expect(checkedEmail(address)).toBe(expected);
  });

  it('H19: an international domain has one spelling', () => {
    const spellings = ['user@пример.рф', 'user@ПРИМЕР.рф', 'USER@xn--e1afmkfd.xn--p1ai', 'user@XN--E1AFMKFD.рф'];
    expect(new Set([...spellings, 'user@пример。рф'].map(checkedEmail))).toEqual(
      new Set(['user@xn--e1afmkfd.xn--p1ai']),
    );
  });
});
