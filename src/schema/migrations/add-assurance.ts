import type { MigrationInterface } from 'typeorm';
import { quoted, type SchemaNames } from '../schema-names.js';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import { addOwnColumn, dropOwnColumn } from './own-table.js';
import { addSession, openSession, sessionFunctions } from './session-functions.js';

const LEVEL = 'aal smallint';
const METHODS = 'amr text[]';

const NEW_SESSION = ['text', 'text', 'timestamptz', 'interval', 'interval', 'timestamptz', 'text', 'text'];
const ADD = [...NEW_SESSION, 'integer', 'boolean', 'timestamptz', 'boolean'];
const OPEN = [
  ...NEW_SESSION,
  'text',
  'integer',
  'boolean',
  'timestamptz',
  'text',
  'boolean',
  'interval',
  'timestamptz',
];
const ASSURANCE = ['smallint', 'text[]'];

const withoutAssurance = (names: SchemaNames) => [
  names.signature('latchkey_add_session', ...ADD),
  names.signature('latchkey_open_session', ...OPEN),
];
const withAssurance = (names: SchemaNames) => [
  names.signature('latchkey_add_session', ...ADD, ...ASSURANCE),
  names.signature('latchkey_open_session', ...OPEN, ...ASSURANCE, 'boolean'),
];

/**
 * How a session was authenticated and what that is worth: two columns, which a rotation keeps, and elevation, which
 * replaces them. A process of the version before names neither: it opens sessions with null there, and rotates those of
 * this version as they are.
 */
export function addAssurance(settings: AuthSchemaSettings): new () => MigrationInterface {
  const { sessions, jwtSessions } = settings.tables;
  const carries = [quoted('data')];
  return migrationClass(settings, {
    name: 'AddAssurance1763683200012',

    async up(queryRunner, names) {
      for (const table of [sessions, jwtSessions]) {
        for (const column of [LEVEL, METHODS]) await addOwnColumn(queryRunner, names, table, column);
      }
      for (const signature of withoutAssurance(names)) await queryRunner.query(`DROP FUNCTION IF EXISTS ${signature}`);
      const functions = sessionFunctions(settings, names, { remembers: true, assures: true });
      await queryRunner.query(addSession(functions));
      await queryRunner.query(openSession(functions, { carries, timesRotations: true }));
    },

    async down(queryRunner, names) {
      for (const signature of withAssurance(names)) await queryRunner.query(`DROP FUNCTION ${signature}`);
      for (const table of [jwtSessions, sessions]) {
        for (const column of [METHODS, LEVEL]) await dropOwnColumn(queryRunner, names, table, column);
      }
      const functions = sessionFunctions(settings, names, { remembers: true });
      await queryRunner.query(addSession(functions));
      await queryRunner.query(openSession(functions, { carries, timesRotations: true }));
    },
  });
}
