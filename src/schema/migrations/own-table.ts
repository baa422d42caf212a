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

/** A nullable column that a later migration adds to one of our tables. */
export interface OwnColumn {
  readonly table: string;
  readonly name: string;
  readonly type: string;
  readonly check: { readonly name: string; readonly condition: string };
}

const MARK = 'nestjs-latchkey:';
const CREATED = `${MARK}created`;
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
  await queryRunner.query(
    `COMMENT ON CONSTRAINT ${quoted(key.name)} ON ${table} IS '${ADDED}${missing.map(nameOf).join(' ')}'`,
  );
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
  const added = key.comment?.startsWith(ADDED) ? key.comment.slice(ADDED.length).split(' ').filter(Boolean) : [];
  for (const column of added) await queryRunner.query(`ALTER TABLE ${table} DROP COLUMN ${column}`);
  await queryRunner.query(`COMMENT ON CONSTRAINT ${quoted(key.name)} ON ${table} IS NULL`);
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

/**
 * Adds a column with its check, or adopts an existing one and adds the check. A comment on the check records whether
 * the column is ours, for `dropOwnColumn`.
 */
export async function addOwnColumn(
  queryRunner: QueryRunner,
  names: SchemaNames,
  { table, name, type, check }: OwnColumn,
): Promise<void> {
  const on = names.qualified(table);
  const isAdopted = (await columnsOf(queryRunner, on)).includes(name);
  if (!isAdopted) await queryRunner.query(`ALTER TABLE ${on} ADD COLUMN ${quoted(name)} ${type}`);
  const constraint = quoted(check.name);
  await queryRunner.query(`ALTER TABLE ${on} ADD CONSTRAINT ${constraint} CHECK (${check.condition})`);
  if (!isAdopted) await queryRunner.query(`COMMENT ON CONSTRAINT ${constraint} ON ${on} IS '${CREATED}'`);
}

/** Drops the check and, if `addOwnColumn` created it, the column. */
export async function dropOwnColumn(
  queryRunner: QueryRunner,
  names: SchemaNames,
  { table, name, check }: OwnColumn,
): Promise<void> {
  const on = names.qualified(table);
  const [found] = (await queryRunner.query(
    `SELECT obj_description(oid, 'pg_constraint') AS comment FROM pg_constraint
     WHERE conrelid = $1::regclass AND conname = $2`,
    [on, check.name],
  )) as { comment: string | null }[];
  await queryRunner.query(`ALTER TABLE ${on} DROP CONSTRAINT ${quoted(check.name)}`);
  if (found?.comment === CREATED) await queryRunner.query(`ALTER TABLE ${on} DROP COLUMN ${quoted(name)}`);
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

async function primaryKeyOf(
  queryRunner: QueryRunner,
  table: string,
): Promise<{ name: string; comment: string | null }> {
  const [key] = (await queryRunner.query(
    `SELECT conname AS name, obj_description(oid, 'pg_constraint') AS comment FROM pg_constraint
     WHERE conrelid = $1::regclass AND contype = 'p'`,
    [table],
  )) as { name: string; comment: string | null }[];
  if (!key) throw new Error(`The table ${table} has no primary key, so it is none that nestjs-latchkey can take over.`);
  return key;
}
