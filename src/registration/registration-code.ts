import { randomInt, timingSafeEqual } from 'node:crypto';
import { sha256Hex } from '../crypto/hash.js';

/** RFC 8628 6.1: letters that are hard to mistake for each other and spell no words. */
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ';
const LENGTH = 8;

/** Eight letters from the system's CSPRNG, 34 bits, in two groups: `WDJB-MJHT`. */
export function newRegistrationCode(): string {
  const letters = Array.from({ length: LENGTH }, () => LETTERS[randomInt(LETTERS.length)]!).join('');
  return `${letters.slice(0, LENGTH / 2)}-${letters.slice(LENGTH / 2)}`;
}

/**
 * What is stored of a code. A short code alone could be found from its hash; with the 256 bits of the token it belongs
 * to, of which only a hash is stored too, it cannot.
 */
export function registrationCodeHash(token: string, code: string): string {
  return sha256Hex(`${token}:${typed(code)}`);
}

/** Whether it is the code of this token. */
export function isRegistrationCode(code: string, token: string, codeHash: string): boolean {
  const [expected, given] = [codeHash, registrationCodeHash(token, code)].map((hash) => Buffer.from(hash));
  return expected!.length === given!.length && timingSafeEqual(expected!, given!);
}

/** However it was typed: RFC 8628 6.1 lets a server ignore case, and what is none of its letters. */
function typed(code: string): string {
  const capitals = code.toUpperCase();
  return [...capitals].filter((letter) => LETTERS.includes(letter)).join('');
}
