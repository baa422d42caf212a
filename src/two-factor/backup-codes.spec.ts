import { describe, expect, it } from '@jest/globals';
import { newBackupCodes, parsedBackupCode, spelledBackupCode } from './backup-codes.js';

describe('backup codes', () => {
  it('F52: 16 characters of Crockford, of which 13 are secret, each with a selector of its own', () => {
    const codes = newBackupCodes(20);
    expect(new Set(codes.map(({ selector }) => selector)).size).toBe(20);
    for (const code of codes) {
      expect(code.selector + code.secret).toMatch(/^[0-9A-HJKMNP-TV-Z]{16}$/);
      expect(code.secret).toHaveLength(13);
      expect(parsedBackupCode(spelledBackupCode(code))).toEqual(code);
    }
  });

  it('is read as it is typed', () => {
    const read = { selector: '012', secret: '3456789ABCDEF' };
    for (const typed of ['0123-4567-89AB-CDEF', '0123456789abcdef', ' o i23 4567 89ab cdef ', 'OL23456789ABCDEF']) {
      expect(parsedBackupCode(typed)).toEqual(read);
    }
  });

  it.each(['', '0123-4567-89AB-CDE', '0123-4567-89AB-CDEFG', '0123-4567-89AB-CDEU', '٠123-4567-89AB-CDEF'])(
    'is none: %j',
    (typed) => {
      expect(parsedBackupCode(typed)).toBeNull();
    },
  );
});
