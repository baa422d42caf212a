import type { QueryRunner } from 'typeorm';

export interface OwnTable {
  readonly name: string;
  /** Columns that a source system's table has too. */
  readonly seed: readonly string[];
  /** Columns that are ours alone, nullable or with a default. */
  readonly own: readonly string[];
}

const MARK = 'nestjs-latchkey:';
const CREATED = `${MARK}created`;
const ADDED = `${MARK}added `;

/**
 * Creates a table, or takes over one that a source system has made, adding only what it lacks. A comment on the primary
 * key (TypeORM compares those of tables and columns, not of constraints) remembers what was done, so that reverting
 * drops neither a table nor a column that was there before. True when it created the table.
 */
export async function createOrAdopt(queryRunner: QueryRunner, { name, seed, own }: OwnTable): Promise<boolean> {
  if (!(await exists(queryRunner, name))) {
    await queryRunner.query(`CREATE TABLE ${name} (${[...seed, ...own].join(', ')})`);
    await queryRunner.query(`COMMENT ON CONSTRAINT ${name}_pkey ON ${name} IS '${CREATED}'`);
    return true;
  }
  const present = await columnsOf(queryRunner, name);
  const missing = own.filter((column) => !present.includes(nameOf(column)));
  for (const column of missing) await queryRunner.query(`ALTER TABLE ${name} ADD COLUMN ${column}`);
  const key = await primaryKeyOf(queryRunner, name);
  await queryRunner.query(
    `COMMENT ON CONSTRAINT "${key.name}" ON ${name} IS '${ADDED}${missing.map(nameOf).join(' ')}'`,
  );
  return false;
}

/** Drops a table that `createOrAdopt` created; of one that it took over, the columns that it added. */
export async function dropOrRelease(queryRunner: QueryRunner, { name }: OwnTable): Promise<void> {
  const key = await primaryKeyOf(queryRunner, name);
  if (key.comment === CREATED) {
    await queryRunner.query(`DROP TABLE ${name}`);
    return;
  }
  const added = key.comment?.startsWith(ADDED) ? key.comment.slice(ADDED.length).split(' ').filter(Boolean) : [];
  for (const column of added) await queryRunner.query(`ALTER TABLE ${name} DROP COLUMN ${column}`);
  await queryRunner.query(`COMMENT ON CONSTRAINT "${key.name}" ON ${name} IS NULL`);
}

const nameOf = (column: string): string => column.slice(0, column.indexOf(' '));

async function exists(queryRunner: QueryRunner, table: string): Promise<boolean> {
  const rows = (await queryRunner.query('SELECT to_regclass($1) IS NOT NULL AS found', [table])) as {
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
