import type { MigrationInterface, QueryRunner } from 'typeorm';
import { AuthError } from '../../auth.errors.js';
import type { TableSettings } from '../../config/table-settings.js';
import { optionsOf, refuseForeignTables } from '../foreign-tables.js';
import { quoted, SchemaNames } from '../schema-names.js';
import type { UserIdType } from '../user-id-type.js';

/** The settings that decide what the migrations create. */
export interface AuthSchemaSettings {
  /**
   * The type of the user ids, if users are in a table or service of the application's own; `undefined`: users are in
   * our table.
   */
  readonly userId: UserIdType | undefined;
  readonly tables: Readonly<TableSettings>;
}

/** A migration of this module; `names` are those in the schema of the DataSource, known when it runs. */
export interface AuthMigration {
  /** TypeORM takes the class name by default, which a bundler may shorten. */
  readonly name: string;
  up(queryRunner: QueryRunner, names: SchemaNames): Promise<void>;
  down(queryRunner: QueryRunner, names: SchemaNames): Promise<void>;
}

/** The class that TypeORM runs. Before it changes anything, it refuses tables that cannot be adopted. */
export function migrationClass(settings: AuthSchemaSettings, migration: AuthMigration): new () => MigrationInterface {
  return class implements MigrationInterface {
    name = migration.name;

    async up(queryRunner: QueryRunner): Promise<void> {
      const names = await schemaNames(queryRunner, settings.tables);
      await refuseForeignTables(queryRunner, names, settings);
      await migration.up(queryRunner, names);
    }

    async down(queryRunner: QueryRunner): Promise<void> {
      await migration.down(queryRunner, await schemaNames(queryRunner, settings.tables));
    }
  };
}

/** The DataSource's schema, or the one in which the connection creates tables. */
async function schemaNames(queryRunner: QueryRunner, tables: Readonly<TableSettings>): Promise<SchemaNames> {
  const { schema: configured } = optionsOf(queryRunner);
  const [{ schema }] = (await queryRunner.query('SELECT coalesce($1, current_schema()) AS schema', [
    configured ?? null,
  ])) as [{ schema: string | null }];
  if (schema !== null) return new SchemaNames(tables, schema);
  const mistake = "There is no schema on the connection's search_path: create one, or set the DataSource's `schema`.";
  throw new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] });
}

/**
 * The end of the head of a function that waits for no lock. Whatever the caller's search path, the body means this
 * schema's tables and PostgreSQL's own functions and operators, and no object placed in front of them.
 */
export const onOwnPathWithoutWaiting = ({ schema }: SchemaNames): string =>
  `LANGUAGE plpgsql SET search_path = pg_catalog, ${quoted(schema!)}, pg_temp`;

/** The same for one that may wait, but not for ever: the waiting client may be gone. */
export const onOwnPath = (names: SchemaNames): string => `${onOwnPathWithoutWaiting(names)} SET lock_timeout = '5s'`;
