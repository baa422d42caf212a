import type { MigrationInterface } from 'typeorm';
import { quoted, type SchemaNames } from '../schema-names.js';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import {
  createOrAdopt,
  createOwnIndex,
  dropOrRelease,
  dropOwnIndex,
  type OwnIndex,
  type OwnTable,
} from './own-table.js';

const table = (
  { passkeys, users }: SchemaNames['tables'],
  names: SchemaNames,
  userId: string | undefined,
): OwnTable => ({
  name: passkeys,
  seed: [
    `id uuid NOT NULL CONSTRAINT ${quoted(`${passkeys}_pkey`)} PRIMARY KEY`,
    userId === undefined
      ? `user_id uuid NOT NULL CONSTRAINT ${quoted(`${passkeys}_user_id_fkey`)}
          REFERENCES ${names.qualified(users)} (id) ON DELETE CASCADE`
      : `user_id ${userId} NOT NULL`,
    'user_handle varchar(86) NOT NULL',
    'credential_id varchar(1364) NOT NULL',
    'public_key bytea NOT NULL',
    'sign_count bigint NOT NULL DEFAULT 0',
    'aaguid uuid',
    "transports text[] NOT NULL DEFAULT '{}'",
    'multi_device boolean NOT NULL DEFAULT false',
    'backed_up boolean NOT NULL DEFAULT false',
    'name varchar(100) NOT NULL',
    'created_at timestamptz NOT NULL',
    'last_used_at timestamptz',
    'clone_suspected_at timestamptz',
  ],
  own: [],
});

const indexes = (name: string): readonly OwnIndex[] => [
  { name: `${name}_user_id_idx`, on: '(user_id)' },
  { name: `${name}_credential_id_key`, on: '(credential_id)', unique: true },
];

/** The table for `flows.passkeys`. Nothing is published: no process has its rows in memory. */
export function createPasskeys(settings: AuthSchemaSettings): new () => MigrationInterface {
  const { userId, tables } = settings;
  const name = tables.passkeys;
  return migrationClass(settings, {
    name: 'CreatePasskeys1763683200016',

    async up(queryRunner, names) {
      await createOrAdopt(queryRunner, names, table(tables, names, userId));
      for (const index of indexes(name)) await createOwnIndex(queryRunner, names, name, index);
    },

    async down(queryRunner, names) {
      for (const index of indexes(name)) await dropOwnIndex(queryRunner, names, index.name);
      await dropOrRelease(queryRunner, names, name);
    },
  });
}
