import { createHmac, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { userKey } from './user-key.js';

/** Hex digits: 128 bits, of which nobody finds two alike. */
export const DIGEST_LENGTH = 32;

/** What a message may name. */
export type InvalidationKind = 'sessions' | 'users' | 'tokens';

/** The text whose HMAC names this in a message: the triggers make the same. */
const namedText = (kind: InvalidationKind, id: string): string => `${kind}:${kind === 'users' ? userKey(id) : id}`;

/**
 * What stands for an id in a message: HMAC-SHA256, cut to 128 bits. Whoever may listen learns no id from it, be it as
 * easily guessed as the number of a user, and whoever may publish cannot name a row that has not changed.
 */
export class InvalidationDigest {
  readonly #key: KeyObject;

  /** Without a key of the processes' own it is understood in this one only. */
  constructor(key: Buffer = randomBytes(32)) {
    this.#key = createSecretKey(key);
  }

  of(kind: InvalidationKind, id: string): string {
    const digest = createHmac('sha256', this.#key).update(namedText(kind, id)).digest();
    // A slice of a string would keep the whole of it in memory.
    return digest.toString('hex', 0, DIGEST_LENGTH / 2);
  }
}
