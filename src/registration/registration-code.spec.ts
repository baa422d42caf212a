import { describe, expect, it } from '@jest/globals';
import { isRegistrationCode, registrationCodeHash } from './registration-code.js';

const TOKEN = 'A'.repeat(43);

describe('registration codes', () => {
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
