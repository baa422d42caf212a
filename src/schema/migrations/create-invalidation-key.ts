import { randomBytes } from 'node:crypto';
import type { MigrationInterface } from 'typeorm';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';

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

    async up(queryRunner, { invalidationKey }) {
      await queryRunner.query(
        `CREATE TABLE ${invalidationKey} (only_one boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (only_one), key bytea NOT NULL, inner_key bytea NOT NULL, outer_key bytea NOT NULL)`,
      );
      await queryRunner.query(`REVOKE ALL ON ${invalidationKey} FROM PUBLIC`);
      const key = randomBytes(32);
      const padded = (pad: number) => Buffer.alloc(BLOCK, pad).map((byte, i) => byte ^ (key[i] ?? 0));
      await queryRunner.query(`INSERT INTO ${invalidationKey} (key, inner_key, outer_key) VALUES ($1, $2, $3)`, [
        key,
        Buffer.from(padded(INNER)),
        Buffer.from(padded(OUTER)),
      ]);
    },

    async down(queryRunner, { invalidationKey }) {
      await queryRunner.query(`DROP TABLE ${invalidationKey}`);
    },
  });
}
