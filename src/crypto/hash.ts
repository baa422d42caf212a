import { hash } from 'node:crypto';

/**
 * Lower-case hex SHA-256. Enough for values of 112 bits of entropy and more (OWASP ASVS 6.5.2), so for tokens; never
 * for passwords or short codes.
 */
export function sha256Hex(data: string | Buffer): string {
  return hash('sha256', data, 'hex');
}
