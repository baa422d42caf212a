import type { MigrationInterface } from 'typeorm';
import { quoted, type SchemaNames } from '../schema-names.js';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import { openSession, sessionFunctions } from './session-functions.js';

const NEW_SESSION = ['text', 'text', 'timestamptz', 'interval', 'interval', 'timestamptz', 'text', 'text'];
const OPEN = [...NEW_SESSION, 'text', 'integer', 'boolean', 'timestamptz', 'text', 'boolean', 'interval'];
const withoutInstant = (names: SchemaNames) => names.signature('latchkey_open_session', ...OPEN);
const withInstant = (names: SchemaNames) => names.signature('latchkey_open_session', ...OPEN, 'timestamptz');

/**
 * The database's clock says when a session was rotated, so that its grace does not depend on which process reads it. A
 * process of the version before names no instant of the rotation, and gets the same.
 */
export function timeRotations(settings: AuthSchemaSettings): new () => MigrationInterface {
  const carries = [quoted('data')];
  return migrationClass(settings, {
    name: 'TimeRotations1763683200011',

    async up(queryRunner, names) {
      await queryRunner.query(`DROP FUNCTION IF EXISTS ${withoutInstant(names)}`);
      const functions = sessionFunctions(settings, names, { remembers: true });
      await queryRunner.query(openSession(functions, { carries, timesRotations: true }));
    },

    async down(queryRunner, names) {
      await queryRunner.query(`DROP FUNCTION ${withInstant(names)}`);
      await queryRunner.query(openSession(sessionFunctions(settings, names, { remembers: true }), { carries }));
    },
  });
}
