import { describe, expect, it } from '@jest/globals';
import { isRegistrationCode, newRegistrationCode, registrationCodeHash } from './registration-code.js';

const TOKEN = 'A'.repeat(43);

describe('registration codes', () => {
  it('are eight letters of RFC 8628 6.1, each as often as the others', () => {
    const codes = Array.from({ length: 10_000 }, newRegistrationCode);
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

  it('are the same in any spelling, and another one for another token', () => {
    const hash = registrationCodeHash(TOKEN, 'WDJB-MJHT');
    for (const typed of ['WDJB-MJHT', 'wdjbmjht', ' wdjb mjht\n', 'WDJB–MJHT']) {
      expect(isRegistrationCode(typed, TOKEN, hash)).toBe(true);
    }
    for (const typed of ['', 'WDJB-MJH', 'WDJB-MJHTT', 'MJHT-WDJB', hash]) {
      expect(isRegistrationCode(typed, TOKEN, hash)).toBe(false);
    }
    expect(isRegistrationCode('WDJB-MJHT', 'B'.repeat(43), hash)).toBe(false);
    expect(isRegistrationCode('WDJB-MJHT', TOKEN, '')).toBe(false);
  });
});
