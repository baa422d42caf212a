import type { MigrationInterface } from 'typeorm';
import { MAX_SESSION_DATA } from '../../session/session-data.js';
import { quoted } from '../schema-names.js';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import { openSession, sessionFunctions } from './create-sessions.js';
import { addOwnColumn, dropOwnColumn, type OwnColumn } from './own-table.js';

const data = (table: string): OwnColumn => ({
  table,
  name: 'data',
  type: 'jsonb',
  check: {
    name: `${table}_data_check`,
    condition: `pg_catalog.jsonb_typeof(data) = 'object' AND pg_catalog.octet_length(data::text) <= ${MAX_SESSION_DATA}`,
  },
});

/** What an application keeps in a session: the column, and its way from a rotated session to the next. */
export function addSessionData(settings: AuthSchemaSettings): new () => MigrationInterface {
  const table = settings.tables.sessions;
  return migrationClass(settings, {
    name: 'AddSessionData1763683200100',

    async up(queryRunner, names) {
      await addOwnColumn(queryRunner, names, data(table));
      await queryRunner.query(openSession(sessionFunctions(settings, names), { carries: [quoted('data')] }));
    },

    async down(queryRunner, names) {
      await queryRunner.query(openSession(sessionFunctions(settings, names)));
      await dropOwnColumn(queryRunner, names, data(table));
    },
  });
}
