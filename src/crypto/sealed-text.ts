import { createCipheriv, createDecipheriv, randomBytes, type KeyObject } from 'node:crypto';
import { canonicalBytes } from './base64url.js';
import type { Keys } from './key-ring.js';

const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Every text sealed here is shorter; anything longer is refused before any work. */
const MAX_SEALED_LENGTH = 4096;

/**
 * Encrypts short texts for storage: base64url of nonce, ciphertext and tag of AES-256-GCM. The first key seals, all
 * open. A text is bound to a `context`, which is not secret and not part of the sealed text: it does not open in
 * another context. Nonces are random, so one key is good for 2^32 texts (NIST SP 800-38D 8.3).
 */
export class SealedText {
  /** Keys for this purpose only (`KeyRing.forPurpose`), 32 bytes each. */
  constructor(private readonly keys: Keys) {}

  seal(text: string, context: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.keys[0], nonce, { authTagLength: TAG_BYTES }).setAAD(
      Buffer.from(context),
    );
    return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
      'base64url',
    );
  }

  /**
   * The text, or `null` for anything that was not sealed by one of our keys for this context, byte for byte. Never
   * throws.
   */
  open(sealed: string, context: string): string | null {
    if (typeof sealed !== 'string' || sealed.length > MAX_SEALED_LENGTH) return null;
    const bytes = canonicalBytes(sealed);
    if (bytes === null || bytes.length < NONCE_BYTES + TAG_BYTES) return null;
    for (const key of this.keys) {
      const text = opened(bytes, key, context);
      if (text !== null) return text;
    }
    return null;
  }
}

function opened(bytes: Buffer, key: KeyObject, context: string): string | null {
  const nonce = bytes.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(context))
    .setAuthTag(bytes.subarray(-TAG_BYTES));
  const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
  try {
    // Nothing was authenticated before this line.
    return Buffer.concat([text, decipher.final()]).toString();
  } catch {
    return null;
  }
}
