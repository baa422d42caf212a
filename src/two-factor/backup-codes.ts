import { randomBytes } from 'node:crypto';

/** Crockford's: without I, L, O and U, which look like something else. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const SELECTOR_LENGTH = 3;
/** 65 bits: more than the 64 from which a secret needs no limit (NIST SP 800-63B-4, section 3.1.2.2). */
const SECRET_LENGTH = 13;
const LENGTH = SELECTOR_LENGTH + SECRET_LENGTH;
const SPELLING = new RegExp(`^[${ALPHABET}]{${LENGTH}}$`);

/** A code, taken apart. */
export interface BackupCode {
  readonly selector: string;
  readonly secret: string;
}

/** So many new codes, each with a selector of its own. */
export function newBackupCodes(count: number): BackupCode[] {
  const codes = new Map<string, BackupCode>();
  while (codes.size < count) {
    // 256 is a multiple of 32, so that every character is as likely.
    const code = Array.from(randomBytes(LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
    const parts = parted(code);
    codes.set(parts.selector, parts);
  }
  return [...codes.values()];
}

/** As it is shown: four groups of four. */
export function spelledBackupCode({ selector, secret }: BackupCode): string {
  return (selector + secret).match(/.{4}/g)!.join('-');
}

/** The code that was typed, in small letters, with or without its hyphens, and with I, L and O for 1, 1 and 0; or `null`. */
export function parsedBackupCode(typed: string): BackupCode | null {
  const code = typed.replaceAll(/[\s-]/g, '').toUpperCase().replaceAll(/[IL]/g, '1').replaceAll('O', '0');
  return SPELLING.test(code) ? parted(code) : null;
}

function parted(code: string): BackupCode {
  return { selector: code.slice(0, SELECTOR_LENGTH), secret: code.slice(SELECTOR_LENGTH) };
}
