import { sha256Hex } from '../crypto/hash.js';
import { randomToken } from '../crypto/random.js';
import { SessionTokens } from './session-tokens.js';

/**
 * The last of 43 characters carries 4 bits in its 6; the two spare ones must be zero, so that a token has only one
 * spelling.
 */
const TOKEN = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/** The default: 32 random bytes in base64url, stored as the SHA-256 of the bytes. */
export class OpaqueTokens extends SessionTokens {
  /** A fresh token: base64url of 32 random bytes without padding, 43 characters. */
  override issue(): string {
    return randomToken().toString('base64url');
  }

  /**
   * The row's id: hex SHA-256 of the token's **raw bytes**. `null` for anything but the canonical spelling of 32 bytes,
   * so that malformed input costs no query and a stored hash is not a token.
   */
  override idOf(token: string): string | null {
    return typeof token === 'string' && TOKEN.test(token) ? sha256Hex(Buffer.from(token, 'base64url')) : null;
  }
}
