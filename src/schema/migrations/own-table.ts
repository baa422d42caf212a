import type { QueryRunner } from 'typeorm';
import { quoted, type SchemaNames } from '../schema-names.js';

export interface OwnTable {
  readonly name: string;
  /** Columns that an adopted table has already. */
  readonly seed: readonly string[];
  /** Columns that are ours alone, nullable or with a default. */
  readonly own: readonly string[];
}

export interface OwnIndex {
  readonly name: string;
  /** The part after the table in `CREATE INDEX name ON table`. */
  readonly on: string;
  readonly unique?: boolean;
}

const MARK = 'nestjs-latchkey:';
/** The mark of a table or index that is ours. */
export const CREATED = `${MARK}created`;
const ADDED = `${MARK}added `;

/**
 * Creates a table, or adopts an existing one and adds only what it lacks. A comment on the primary key (TypeORM
 * compares those of tables and columns, not of constraints) records what was done, so that reverting drops neither a
 * table nor a column that was there before. True if it created the table.
 */
export async function createOrAdopt(
  queryRunner: QueryRunner,
  names: SchemaNames,
  { name, seed, own }: OwnTable,
): Promise<boolean> {
  const table = names.qualified(name);
  if (!(await exists(queryRunner, table))) {
    await queryRunner.query(`CREATE TABLE ${table} (${[...seed, ...own].join(', ')})`);
    await queryRunner.query(`COMMENT ON CONSTRAINT ${quoted(`${name}_pkey`)} ON ${table} IS '${CREATED}'`);
    return true;
  }
  const present = await columnsOf(queryRunner, table);
  const missing = own.filter((column) => !present.includes(nameOf(column)));
  for (const column of missing) await queryRunner.query(`ALTER TABLE ${table} ADD COLUMN ${column}`);
  const key = await primaryKeyOf(queryRunner, table);
  await noteAdded(queryRunner, table, key, missing.map(nameOf));
  return false;
}

/** Drops a table that `createOrAdopt` created; from one that it adopted, the columns that it added. */
export async function dropOrRelease(queryRunner: QueryRunner, names: SchemaNames, name: string): Promise<void> {
  const table = names.qualified(name);
  const key = await primaryKeyOf(queryRunner, table);
  if (key.comment === CREATED) {
    await queryRunner.query(`DROP TABLE ${table}`);
    return;
  }
  for (const column of addedTo(key)) await queryRunner.query(`ALTER TABLE ${table} DROP COLUMN ${column}`);
  await queryRunner.query(`COMMENT ON CONSTRAINT ${quoted(key.name)} ON ${table} IS NULL`);
}

/** Adds a column of a later migration to a table of `createOrAdopt`, unless there is one with this name. */
export async function addOwnColumn(
  queryRunner: QueryRunner,
  names: SchemaNames,
  name: string,
  column: string,
): Promise<void> {
  const table = names.qualified(name);
  if ((await columnsOf(queryRunner, table)).includes(nameOf(column))) return;
  await queryRunner.query(`ALTER TABLE ${table} ADD COLUMN ${column}`);
  const key = await primaryKeyOf(queryRunner, table);
  if (key.comment !== CREATED) await noteAdded(queryRunner, table, key, [...addedTo(key), nameOf(column)]);
}

/** Drops a column that `addOwnColumn` added, and no other. */
export async function dropOwnColumn(
  queryRunner: QueryRunner,
  names: SchemaNames,
  name: string,
  column: string,
): Promise<void> {
  const table = names.qualified(name);
  const key = await primaryKeyOf(queryRunner, table);
  const added = addedTo(key);
  if (key.comment !== CREATED && !added.includes(nameOf(column))) return;
  await queryRunner.query(`ALTER TABLE ${table} DROP COLUMN ${nameOf(column)}`);
  const others = added.filter((other) => other !== nameOf(column));
  if (key.comment !== CREATED) await noteAdded(queryRunner, table, key, others);
}

/** Creates an index unless one with this name exists. A comment records that we created it, for `dropOwnIndex`. */
export async function createOwnIndex(
  queryRunner: QueryRunner,
  names: SchemaNames,
  table: string,
  { name, on, unique = false }: OwnIndex,
): Promise<void> {
  if (await exists(queryRunner, names.qualified(name))) return;
  await queryRunner.query(`CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${quoted(name)} ON ${names.qualified(table)} ${on}`);
  await queryRunner.query(`COMMENT ON INDEX ${names.qualified(name)} IS '${CREATED}'`);
}

/** Drops an index that `createOwnIndex` created, and no other. */
export async function dropOwnIndex(queryRunner: QueryRunner, names: SchemaNames, name: string): Promise<void> {
  const index = names.qualified(name);
  const [found] = (await queryRunner.query(`SELECT obj_description(to_regclass($1), 'pg_class') AS comment`, [
    index,
  ])) as { comment: string | null }[];
  if (found?.comment === CREATED) await queryRunner.query(`DROP INDEX ${index}`);
}

const nameOf = (column: string): string => column.slice(0, column.indexOf(' '));

async function exists(queryRunner: QueryRunner, relation: string): Promise<boolean> {
  const rows = (await queryRunner.query('SELECT to_regclass($1) IS NOT NULL AS found', [relation])) as {
    found: boolean;
  }[];
  return rows[0]!.found;
}

async function columnsOf(queryRunner: QueryRunner, table: string): Promise<string[]> {
  const rows = (await queryRunner.query(
    'SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped',
    [table],
  )) as { name: string }[];
  return rows.map(({ name }) => name);
}

interface PrimaryKey {
  readonly name: string;
  readonly comment: string | null;
}

/** The columns that were added to an adopted table. */
const addedTo = ({ comment }: PrimaryKey): string[] =>
  comment?.startsWith(ADDED) ? comment.slice(ADDED.length).split(' ').filter(Boolean) : [];

async function noteAdded(
  queryRunner: QueryRunner,
  table: string,
  { name }: PrimaryKey,
  columns: readonly string[],
): Promise<void> {
  await queryRunner.query(`COMMENT ON CONSTRAINT ${quoted(name)} ON ${table} IS '${ADDED}${columns.join(' ')}'`);
}

async function primaryKeyOf(queryRunner: QueryRunner, table: string): Promise<PrimaryKey> {
  const [key] = (await queryRunner.query(
    `SELECT conname AS name, obj_description(oid, 'pg_constraint') AS comment FROM pg_constraint
     WHERE conrelid = $1::regclass AND contype = 'p'`,
    [table],
  )) as { name: string; comment: string | null }[];
  if (!key) throw new Error(`The table ${table} has no primary key, so it is none that nestjs-latchkey can take over.`);
  return key;
}
