import type { MigrationInterface } from 'typeorm';
import { quoted, type SchemaNames } from '../schema-names.js';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import { createOrAdopt, dropOrRelease, type OwnTable } from './own-table.js';

const userColumn = (name: string, names: SchemaNames, userId: string | undefined) =>
  userId === undefined
    ? `user_id uuid NOT NULL CONSTRAINT ${quoted(`${name}_user_id_fkey`)}
        REFERENCES ${names.qualified(names.tables.users)} (id) ON DELETE CASCADE`
    : `user_id ${userId} NOT NULL`;

const totp = (names: SchemaNames, userId: string | undefined): OwnTable => ({
  name: names.tables.totp,
  seed: [
    userColumn(names.tables.totp, names, userId),
    'secret varchar(512) NOT NULL',
    'last_step bigint',
    'failures integer NOT NULL DEFAULT 0',
    'disabled_at timestamptz',
    'confirmed_at timestamptz NOT NULL',
    'created_at timestamptz NOT NULL',
    `CONSTRAINT ${quoted(`${names.tables.totp}_pkey`)} PRIMARY KEY (user_id)`,
  ],
  own: [],
});

const backupCodes = (names: SchemaNames, userId: string | undefined): OwnTable => ({
  name: names.tables.backupCodes,
  seed: [
    userColumn(names.tables.backupCodes, names, userId),
    'selector varchar(4) NOT NULL',
    'code_hash varchar(255) NOT NULL',
    'used_at timestamptz',
    'created_at timestamptz NOT NULL',
    `CONSTRAINT ${quoted(`${names.tables.backupCodes}_pkey`)} PRIMARY KEY (user_id, selector)`,
  ],
  own: [],
});

/** The secrets of authenticator apps, and backup codes: for `flows.twoFactor`. */
export function createTwoFactor(settings: AuthSchemaSettings): new () => MigrationInterface {
  const { userId, tables } = settings;
  return migrationClass(settings, {
    name: 'CreateTwoFactor1763683200014',

    async up(queryRunner, names) {
      await createOrAdopt(queryRunner, names, totp(names, userId));
      await createOrAdopt(queryRunner, names, backupCodes(names, userId));
    },

    async down(queryRunner, names) {
      await dropOrRelease(queryRunner, names, tables.backupCodes);
      await dropOrRelease(queryRunner, names, tables.totp);
    },
  });
}
