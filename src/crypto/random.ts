import { randomBytes } from 'node:crypto';

/** 32 bytes of the system's CSPRNG: 256 bits, the strength of every bearer value here (OWASP ASVS 7.2.3). */
export function randomToken(): Buffer {
  return randomBytes(32);
}

/** base64url of 16 random bytes, 22 characters: names a token or a session, and proves nothing by being known. */
export function randomId(): string {
  return randomBytes(16).toString('base64url');
}
