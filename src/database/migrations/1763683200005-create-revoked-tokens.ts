import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The list of ended self-contained tokens, with the columns of seed 001. */
export class CreateRevokedTokens1763683200005 implements MigrationInterface {
  name = 'CreateRevokedTokens1763683200005';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE revoked_tokens (
        jti varchar(64) NOT NULL CONSTRAINT revoked_tokens_pkey PRIMARY KEY,
        exp timestamptz NOT NULL
      )`);
    await queryRunner.query('CREATE INDEX revoked_tokens_exp_idx ON revoked_tokens (exp)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE revoked_tokens');
  }
}
