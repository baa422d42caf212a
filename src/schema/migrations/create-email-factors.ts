import type { MigrationInterface } from 'typeorm';
import { quoted, type SchemaNames } from '../schema-names.js';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import { createOrAdopt, dropOrRelease, type OwnTable } from './own-table.js';

const table = (
  { emailFactors: name, users }: SchemaNames['tables'],
  names: SchemaNames,
  userId: string | undefined,
): OwnTable => {
  const key = `CONSTRAINT ${quoted(`${name}_pkey`)} PRIMARY KEY`;
  const owner = `CONSTRAINT ${quoted(`${name}_user_id_fkey`)} REFERENCES ${names.qualified(users)} (id) ON DELETE CASCADE`;
  return {
    name,
    seed: [
      userId === undefined ? `user_id uuid NOT NULL ${key} ${owner}` : `user_id ${userId} NOT NULL ${key}`,
      'enabled_at timestamptz NOT NULL',
      'failures integer NOT NULL DEFAULT 0',
    ],
    own: [],
  };
};

/** Who is mailed a code as the second step. Nothing is published: no process has its rows in memory. */
export function createEmailFactors(settings: AuthSchemaSettings): new () => MigrationInterface {
  const { userId, tables } = settings;
  return migrationClass(settings, {
    name: 'CreateEmailFactors1763683200015',

    async up(queryRunner, names) {
      await createOrAdopt(queryRunner, names, table(tables, names, userId));
    },

    async down(queryRunner, names) {
      await dropOrRelease(queryRunner, names, tables.emailFactors);
    },
  });
}
