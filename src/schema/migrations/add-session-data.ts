import type { MigrationInterface } from 'typeorm';
import { quoted } from '../schema-names.js';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import { addOwnColumn, dropOwnColumn } from './own-table.js';
import { openSession, sessionFunctions } from './session-functions.js';

const COLUMN = 'data jsonb';

/** What an application keeps in a session: the column, and its way from a rotated session to the next. */
export function addSessionData(settings: AuthSchemaSettings): new () => MigrationInterface {
  const table = settings.tables.sessions;
  return migrationClass(settings, {
    name: 'AddSessionData1763683200009',

    async up(queryRunner, names) {
      await addOwnColumn(queryRunner, names, table, COLUMN);
      const functions = sessionFunctions(settings, names, { remembers: true });
      await queryRunner.query(openSession(functions, { carries: [quoted('data')] }));
    },

    async down(queryRunner, names) {
      await queryRunner.query(openSession(sessionFunctions(settings, names, { remembers: true })));
      await dropOwnColumn(queryRunner, names, table, COLUMN);
    },
  });
}
