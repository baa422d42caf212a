import { randomBytes } from 'node:crypto';

/** 32 bytes of the system's CSPRNG: 256 bits, the strength of every bearer value here (OWASP ASVS 7.2.3). */
export function randomToken(): Buffer {
  return randomBytes(32);
}
