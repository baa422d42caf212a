import { randomBytes } from 'node:crypto';
import type { MigrationInterface } from 'typeorm';
import { INVALIDATION_KEY, quoted } from '../schema-names.js';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import { createOrAdopt, dropOrRelease, type OwnTable } from './own-table.js';

const TABLE: OwnTable = {
  name: INVALIDATION_KEY,
  seed: [
    `only_one boolean NOT NULL DEFAULT true CONSTRAINT ${quoted(`${INVALIDATION_KEY}_pkey`)} PRIMARY KEY CHECK (only_one)`,
    'key bytea NOT NULL',
    'inner_key bytea NOT NULL',
    'outer_key bytea NOT NULL',
  ],
  own: [],
};

/** The block size of SHA-256 in bytes, and the bytes with which HMAC pads the key (RFC 2104). */
const BLOCK = 64;
const INNER = 0x36;
const OUTER = 0x5c;

/**
 * The key for the digests that the triggers publish. NOTIFY and LISTEN require no privilege, so a message must reveal
 * nothing, and nobody else may be able to name a row. The application's secrets will not do: every role may read a
 * function's body, and they are rotated. So the database has a random key of its own, in a table. `inner_key` and
 * `outer_key` are the key as HMAC uses it, for SQL, which only has SHA-256.
 */
export function createInvalidationKey(settings: AuthSchemaSettings): new () => MigrationInterface {
  return migrationClass(settings, {
    name: 'CreateInvalidationKey1763683200000',

    async up(queryRunner, names) {
      await createOrAdopt(queryRunner, names, TABLE);
      await queryRunner.query(`REVOKE ALL ON ${names.invalidationKey} FROM PUBLIC`);
      const key = randomBytes(32);
      const padded = (pad: number) => Buffer.alloc(BLOCK, pad).map((byte, i) => byte ^ (key[i] ?? 0));
      // An existing key is in use.
      await queryRunner.query(
        `INSERT INTO ${names.invalidationKey} (key, inner_key, outer_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
        [key, Buffer.from(padded(INNER)), Buffer.from(padded(OUTER))],
      );
    },

    async down(queryRunner, names) {
      await dropOrRelease(queryRunner, names, TABLE.name);
    },
  });
}
