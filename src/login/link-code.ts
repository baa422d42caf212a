import { timingSafeEqual } from 'node:crypto';
import { sha256Hex } from '../crypto/hash.js';
import { typedUserCode } from '../crypto/user-code.js';

/**
 * What is stored of the code beside a link. A short code alone could be found from its hash; with the 256 bits of the token it belongs
 * to, of which only a hash is stored too, it cannot.
 */
export function linkCodeHash(token: string, code: string): string {
  return sha256Hex(`${token}:${typedUserCode(code)}`);
}

/** Whether it is the code of this token. */
export function isLinkCode(code: string, token: string, codeHash: string): boolean {
  const [expected, given] = [codeHash, linkCodeHash(token, code)].map((hash) => Buffer.from(hash));
  return expected!.length === given!.length && timingSafeEqual(expected!, given!);
}
