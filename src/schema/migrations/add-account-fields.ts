import type { MigrationInterface } from 'typeorm';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import { addOwnColumn, dropOwnColumn } from './own-table.js';

const COLUMNS = ['email_verified_at timestamptz', "roles text[] NOT NULL DEFAULT '{}'"];

/** Since when the mailbox of an account is known to be its owner's, and what the account may do. */
export function addAccountFields(settings: AuthSchemaSettings): new () => MigrationInterface {
  const { users } = settings.tables;
  return migrationClass(settings, {
    name: 'AddAccountFields1763683200013',

    async up(queryRunner, names) {
      for (const column of COLUMNS) await addOwnColumn(queryRunner, names, users, column);
    },

    async down(queryRunner, names) {
      for (const column of COLUMNS.toReversed()) await dropOwnColumn(queryRunner, names, users, column);
    },
  });
}
