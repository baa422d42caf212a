import type { MigrationInterface } from 'typeorm';
import { quoted, type SchemaNames } from '../schema-names.js';
import { migrationClass, onOwnPath, type AuthSchemaSettings } from './auth-migration.js';
import { createOrAdopt, dropOrRelease, type OwnTable } from './own-table.js';

const table = (name: string): OwnTable => ({
  name,
  seed: [
    `user_id text NOT NULL CONSTRAINT ${quoted(`${name}_pkey`)} PRIMARY KEY`,
    'failures integer NOT NULL DEFAULT 0',
    'is_judged boolean NOT NULL DEFAULT true',
    'known_places text[]',
  ],
  own: [],
});

const FORGET = 'latchkey_forget_attempts';
const ON_NEW_PASSWORD = 'latchkey_forget_attempts_update';
const ON_DELETE = 'latchkey_forget_attempts_delete';

/** Also for roles that may change passwords and nothing else; no other role may use it on a table of its own. */
const forget = (names: SchemaNames) => `
  CREATE OR REPLACE FUNCTION ${names.qualified(FORGET)}() RETURNS trigger SECURITY DEFINER ${onOwnPath(names)} AS $$
  BEGIN
    DELETE FROM ${quoted(names.tables.passwordAttempts)} WHERE user_id = OLD.id::text;
    RETURN NULL;
  END $$`;

/**
 * Consecutive failures of passwords. Where accounts are in our table, a new password forgets them, whoever sets it, and
 * so does the end of the account. There is no foreign key: rows also stand for logins without an account.
 */
export function createPasswordAttempts(settings: AuthSchemaSettings): new () => MigrationInterface {
  const { passwordAttempts: name, users } = settings.tables;
  const ownsUsers = settings.userId === undefined;
  return migrationClass(settings, {
    name: 'CreatePasswordAttempts1763683200007',

    async up(queryRunner, names) {
      await createOrAdopt(queryRunner, names, table(name));
      if (!ownsUsers) return;
      const on = names.qualified(users);
      await queryRunner.query(forget(names));
      await queryRunner.query(`REVOKE ALL ON FUNCTION ${names.qualified(FORGET)}() FROM PUBLIC`);
      for (const [trigger, when] of [
        [ON_NEW_PASSWORD, 'WHEN (OLD.password_hash IS DISTINCT FROM NEW.password_hash)'],
        [ON_DELETE, ''],
      ] as const) {
        const event = trigger === ON_DELETE ? 'DELETE' : 'UPDATE OF password_hash';
        await queryRunner.query(`DROP TRIGGER IF EXISTS ${trigger} ON ${on}`);
        await queryRunner.query(
          `CREATE TRIGGER ${trigger} AFTER ${event} ON ${on}
             FOR EACH ROW ${when} EXECUTE FUNCTION ${names.qualified(FORGET)}()`,
        );
      }
    },

    async down(queryRunner, names) {
      if (ownsUsers) {
        for (const trigger of [ON_NEW_PASSWORD, ON_DELETE]) {
          await queryRunner.query(`DROP TRIGGER ${trigger} ON ${names.qualified(users)}`);
        }
        await queryRunner.query(`DROP FUNCTION ${names.qualified(FORGET)}`);
      }
      await dropOrRelease(queryRunner, names, name);
    },
  });
}
