import { Injectable } from '@nestjs/common';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { sha256Hex } from '../crypto/hash.js';
import { KeyRing } from '../crypto/key-ring.js';
import { randomToken } from '../crypto/random.js';
import { SessionTokens } from './session-tokens.js';

/** The raw part of the token: hexadecimal, at least 16 bytes. It is signed as text and hashed as text. */
const RAW = /^[0-9a-f]{32,512}$/;
const MAX_TOKEN_LENGTH = 512 + 1 + 64;

/**
 * Opaque session tokens with a signature: `raw.signature`, where the signature is the hex HMAC-SHA256 of the raw text
 * under the master secret itself. It saves the query for values that were never issued here; whether the token is valid
 * is still decided by the database, under the SHA-256 of the raw text.
 *
 * Every method returns `null` for a value that is unsigned, tampered with, malformed or not signed by any of our
 * secrets.
 */
@Injectable()
export class SignedTokens extends SessionTokens {
  constructor(private readonly keyRing: KeyRing) {
    super();
  }

  /** A fresh token of 32 random bytes, signed with the current secret: 129 characters. */
  override issue(): string {
    return this.sign(randomToken().toString('hex'));
  }

  /** Signs a raw token with the current secret, for example one that a previous secret had signed. */
  sign(raw: string): string {
    // Any other text could be a purpose, and its signature that purpose's key: see KeyRing.forPurpose.
    if (!RAW.test(raw)) throw new TypeError('Only a raw token of 32 to 512 lower-case hexadecimal digits is signed.');
    return `${raw}.${createHmac('sha256', this.keyRing.masters[0]).update(raw).digest('hex')}`;
  }

  /** The raw token, if one of our secrets has signed it. Compared in constant time. */
  unwrap(token: string): string | null {
    if (typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH) return null;
    const end = token.lastIndexOf('.');
    const raw = token.slice(0, Math.max(end, 0));
    if (!RAW.test(raw)) return null;
    const given = Buffer.from(token.slice(end + 1));
    const isSigned = this.keyRing.masters.some((key) => {
      const expected = Buffer.from(createHmac('sha256', key).update(raw).digest('hex'));
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
    return isSigned ? raw : null;
  }

  /** The row's id: hex SHA-256 of the **text** of the raw token, where plain session tokens hash its bytes. */
  override idOf(token: string): string | null {
    const raw = this.unwrap(token);
    return raw === null ? null : sha256Hex(raw);
  }
}
