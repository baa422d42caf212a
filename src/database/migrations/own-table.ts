import type { QueryRunner } from 'typeorm';

/**
 * Creates a table, or takes over one that a source system has made, adding only what it lacks. A mark on the primary
 * key (TypeORM compares comments of tables and columns, not of constraints) remembers which of the two it was, so that
 * reverting never drops a table that was there before.
 */
export async function createOrAdopt(
  queryRunner: QueryRunner,
  table: string,
  columns: { seed: readonly string[]; own: readonly string[] },
): Promise<void> {
  if (await queryRunner.hasTable(table)) {
    for (const column of columns.own)
      await queryRunner.query(`ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS ${column}`);
    return;
  }
  await queryRunner.query(`CREATE TABLE ${table} (${[...columns.seed, ...columns.own].join(', ')})`);
  await queryRunner.query(`COMMENT ON CONSTRAINT ${table}_pkey ON ${table} IS 'nestjs-latchkey'`);
}

/** Drops a table that `createOrAdopt` created; of one that it took over, the columns of our own. */
export async function dropOrRelease(queryRunner: QueryRunner, table: string, own: readonly string[]): Promise<void> {
  const [created] = (await queryRunner.query(
    `SELECT 1 FROM pg_constraint WHERE conrelid = '${table}'::regclass AND contype = 'p'
       AND obj_description(oid, 'pg_constraint') = 'nestjs-latchkey'`,
  )) as unknown[];
  if (created) {
    await queryRunner.query(`DROP TABLE ${table}`);
    return;
  }
  for (const column of own) await queryRunner.query(`ALTER TABLE ${table} DROP COLUMN ${column.split(' ')[0]}`);
}
