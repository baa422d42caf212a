import { createHmac, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { userKey } from './user-key.js';

/** Hex digits: 128 bits, enough that no collision can be found. */
export const DIGEST_LENGTH = 32;

/** The kinds of things a message may name. */
export type InvalidationKind = 'sessions' | 'users' | 'tokens';

/** The text whose HMAC is the digest; the triggers build the same. */
const namedText = (kind: InvalidationKind, id: string): string => `${kind}:${kind === 'users' ? userKey(id) : id}`;

/**
 * Stands for an id in a message: HMAC-SHA256, cut to 128 bits. Whoever listens learns no id from it, not even one as
 * easily guessed as a user's number, and whoever publishes cannot name a row that has not changed.
 */
export class InvalidationDigest {
  readonly #key: KeyObject;

  /** Without a key shared by the processes, the digest is only understood in this one. */
  constructor(key: Buffer = randomBytes(32)) {
    this.#key = createSecretKey(key);
  }

  of(kind: InvalidationKind, id: string): string {
    const digest = createHmac('sha256', this.#key).update(namedText(kind, id)).digest();
    // A slice would keep the whole string in memory.
    return digest.toString('hex', 0, DIGEST_LENGTH / 2);
  }
}
