import { describe, expect, it } from '@jest/globals';
import { isLinkCode, linkCodeHash } from './link-code.js';

const TOKEN = 'A'.repeat(43);

describe('the codes beside mailed links', () => {
  it('are the same in any spelling, and another one for another token', () => {
    const hash = linkCodeHash(TOKEN, 'WDJB-MJHT');
    for (const typed of ['WDJB-MJHT', 'wdjbmjht', ' wdjb mjht\n', 'WDJB–MJHT']) {
      expect(isLinkCode(typed, TOKEN, hash)).toBe(true);
    }
    for (const typed of ['', 'WDJB-MJH', 'WDJB-MJHTT', 'MJHT-WDJB', hash]) {
      expect(isLinkCode(typed, TOKEN, hash)).toBe(false);
    }
    expect(isLinkCode('WDJB-MJHT', 'B'.repeat(43), hash)).toBe(false);
    expect(isLinkCode('WDJB-MJHT', TOKEN, '')).toBe(false);
  });
});
