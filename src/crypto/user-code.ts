import { randomInt } from 'node:crypto';

/** RFC 8628 6.1: letters that are hard to mistake for each other and spell no words. */
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ';
const LENGTH = 8;

/** Eight letters from the system's CSPRNG, 34 bits, in two groups: `WDJB-MJHT`. */
export function newUserCode(): string {
  const letters = Array.from({ length: LENGTH }, () => LETTERS[randomInt(LETTERS.length)]!).join('');
  return `${letters.slice(0, LENGTH / 2)}-${letters.slice(LENGTH / 2)}`;
}

/** However it was typed: RFC 8628 6.1 lets a server ignore case, and what is none of its letters. */
export function typedUserCode(code: string): string {
  const capitals = code.toUpperCase();
  return [...capitals].filter((letter) => LETTERS.includes(letter)).join('');
}
