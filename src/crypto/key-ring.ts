import { Injectable } from '@nestjs/common';
import { createHash, createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { AuthConfig } from '../config/auth-config.js';
import { MIN_SECRET_LENGTH } from '../config/secrets.js';

/** One key per master secret, in the same order: the first signs, all verify. */
export type Keys = readonly [current: KeyObject, ...previous: KeyObject[]];

/** Purposes and salts come from code, so there are few; this only bounds the memory if they do not. */
const MAX_DERIVED = 256;
const OPAQUE_TOKEN = /^[0-9a-f]{32,}$/;

/**
 * The master secrets and every key derived from them. A key is a `KeyObject`, derived once: no secret shows up in a log
 * or an inspected object, and none reaches jsonwebtoken as a string, which would make it 50 times as slow.
 *
 * Rotation: put a new secret first in `secrets`; what the others signed stays valid until they are removed.
 */
@Injectable()
export class KeyRing {
  readonly #masters: Keys;
  readonly #byPurpose = new Map<string, Keys>();
  readonly #bySalt = new Map<string, Keys>();

  /** Throws a `TypeError` when there is no secret, or one with fewer than 32 characters (code points). */
  constructor({ secrets }: AuthConfig) {
    const [current, ...previous] = secrets.reveal().map(masterKey);
    if (current === undefined) throw new TypeError('A KeyRing needs at least one secret.');
    this.#masters = [current, ...previous];
  }

  /**
   * HMAC-SHA256(master, purpose), 32 raw bytes: such a key reveals neither that of another purpose nor the master.
   * Throws a `TypeError` for an empty purpose, and for one that could be the text of an opaque token, whose signature
   * (see `masters`) is the same HMAC and would reveal the key.
   */
  forPurpose(purpose: string): Keys {
    return derived(this.#byPurpose, purpose, this.#masters, (master) => {
      if (OPAQUE_TOKEN.test(purpose)) throw new TypeError('A purpose is a word, not a long hexadecimal number.');
      return createHmac('sha256', master).update(purpose).digest();
    });
  }

  /** SHA1(salt, "signer", master): the "django-concat" derivation of itsdangerous. */
  forSalt(salt: string): Keys {
    return derived(this.#bySalt, salt, this.#masters, (master) =>
      createHash('sha1').update(salt).update('signer').update(master.export()).digest(),
    );
  }

  /** The secrets themselves as keys, for the one format that is defined that way: signed opaque tokens. */
  get masters(): Keys {
    return this.#masters;
  }
}

function derived(
  cache: Map<string, Keys>,
  name: string,
  masters: Keys,
  derivation: (master: KeyObject) => Buffer,
): Keys {
  const known = cache.get(name);
  if (known !== undefined) return known;
  if (typeof name !== 'string' || name === '') throw new TypeError('A purpose or salt must be a non-empty string.');

  const [current, ...previous] = masters;
  const toKey = (master: KeyObject) => createSecretKey(derivation(master));
  const keys: Keys = [toKey(current), ...previous.map(toKey)];
  for (const oldest of cache.keys()) {
    if (cache.size < MAX_DERIVED) break;
    cache.delete(oldest);
  }
  cache.set(name, keys);
  return keys;
}

function masterKey(secret: unknown): KeyObject {
  if (typeof secret !== 'string' || Array.from(secret).length < MIN_SECRET_LENGTH) {
    throw new TypeError(`A secret must be a string of at least ${MIN_SECRET_LENGTH} characters.`);
  }
  return createSecretKey(secret, 'utf8');
}
