import { randomBytes, randomFillSync } from 'node:crypto';

/** 32 bytes from the system's CSPRNG: 256 bits, the strength of every bearer value here (OWASP ASVS 7.2.3). */
export function randomToken(): Buffer {
  return randomBytes(32);
}

const ID_BYTES = 16;
const pool = Buffer.alloc(128 * ID_BYTES);
let used = pool.length;

/**
 * base64url of 16 random bytes, 22 characters: an identifier of a token or session, which is not secret. Many are drawn
 * at once, since a call to the CSPRNG costs more than signing a JWT.
 */
export function randomId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += ID_BYTES;
  return pool.toString('base64url', used - ID_BYTES, used);
}
