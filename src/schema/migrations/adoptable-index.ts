import type { QueryRunner } from 'typeorm';

export interface OwnIndex {
  readonly name: string;
  /** What follows `CREATE INDEX name ON`. */
  readonly on: string;
}

const CREATED = 'nestjs-latchkey:created';

/** Creates an index unless there is one of this name. A comment remembers that it was us, for `dropOwnIndex`. */
export async function createOwnIndex(queryRunner: QueryRunner, { name, on }: OwnIndex): Promise<void> {
  const [found] = (await queryRunner.query('SELECT to_regclass($1) AS index', [name])) as { index: string | null }[];
  if (found?.index) return;
  await queryRunner.query(`CREATE INDEX ${name} ON ${on}`);
  await queryRunner.query(`COMMENT ON INDEX ${name} IS '${CREATED}'`);
}

/** Drops an index that `createOwnIndex` has created, and no other. */
export async function dropOwnIndex(queryRunner: QueryRunner, { name }: OwnIndex): Promise<void> {
  const [found] = (await queryRunner.query(`SELECT obj_description(to_regclass($1), 'pg_class') AS comment`, [
    name,
  ])) as {
    comment: string | null;
  }[];
  if (found?.comment === CREATED) await queryRunner.query(`DROP INDEX ${name}`);
}
