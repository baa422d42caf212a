import type { MigrationInterface } from 'typeorm';
import type { SchemaNames } from '../schema-names.js';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import { addOwnColumn, dropOwnColumn } from './own-table.js';
import { addSession, openSession, sessionFunctions } from './session-functions.js';

const COLUMN = 'remembered boolean';

const NEW_SESSION = ['text', 'text', 'timestamptz', 'interval', 'interval', 'timestamptz', 'text', 'text'];
const ADD = [...NEW_SESSION, 'integer', 'boolean', 'timestamptz'];
const OPEN = [...NEW_SESSION, 'text', 'integer', 'boolean', 'timestamptz', 'text'];

/** By signature: if a schema is adopted once more, the functions are there with and without the choice. */
const withoutChoice = (names: SchemaNames) => [
  names.signature('latchkey_add_session', ...ADD),
  names.signature('latchkey_open_session', ...OPEN),
];
const withChoice = (names: SchemaNames) => [
  names.signature('latchkey_add_session', ...ADD, 'boolean'),
  names.signature('latchkey_open_session', ...OPEN, 'boolean', 'interval'),
];

/**
 * What a login chose, with `session.remembered`: a column of the sessions, which the functions that open a session
 * write, and which a rotation keeps. Sessions from before have null there.
 */
export function rememberSessions(settings: AuthSchemaSettings): new () => MigrationInterface {
  return migrationClass(settings, {
    name: 'RememberSessions1763683200008',

    async up(queryRunner, names) {
      await addOwnColumn(queryRunner, names, settings.tables.sessions, COLUMN);
      for (const signature of withoutChoice(names)) await queryRunner.query(`DROP FUNCTION IF EXISTS ${signature}`);
      const functions = sessionFunctions(settings, names, { remembers: true });
      await queryRunner.query(addSession(functions));
      await queryRunner.query(openSession(functions));
    },

    async down(queryRunner, names) {
      for (const signature of withChoice(names)) await queryRunner.query(`DROP FUNCTION ${signature}`);
      await dropOwnColumn(queryRunner, names, settings.tables.sessions, COLUMN);
      const functions = sessionFunctions(settings, names, { remembers: false });
      await queryRunner.query(addSession(functions));
      await queryRunner.query(openSession(functions));
    },
  });
}
