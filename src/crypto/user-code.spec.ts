import { describe, expect, it } from '@jest/globals';
import { newUserCode, typedUserCode } from './user-code.js';

describe('user codes', () => {
  it('are eight letters of RFC 8628 6.1, each as often as the others', () => {
    const codes = Array.from({ length: 10_000 }, newUserCode);
    const counts = new Map<string, number>();
    for (const code of codes) {
      expect(code).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
      for (const letter of code.replace('-', '')) counts.set(letter, (counts.get(letter) ?? 0) + 1);
    }
    expect(new Set(codes).size).toBe(codes.length);
    // 4,000 of each are expected; this is more than 8 standard deviations.
    for (const count of counts.values()) expect(Math.abs(count - 4_000)).toBeLessThan(500);
    expect(counts.size).toBe(20);
  });

  it('are the same in any spelling', () => {
    for (const typed of ['WDJB-MJHT', 'wdjbmjht', ' wdjb mjht\n', 'WDJB–MJHT']) {
      expect(typedUserCode(typed)).toBe('WDJBMJHT');
    }
    expect(typedUserCode('123 aeiou é')).toBe('');
  });
});
