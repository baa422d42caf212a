import { sha256Hex } from '../crypto/hash.js';

/**
 * The public handle of a listed JWT, as a UUID of version 8 (RFC 9562 5.8): from its `jti`, so that a request needs no
 * query for it, and not back.
 */
export function handleOfJwt(jti: string): string {
  const hex = sha256Hex(`nestjs-latchkey:jwt-session:${jti}`);
  const variant = '89ab'[Number.parseInt(hex.charAt(16), 16) & 3];
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
