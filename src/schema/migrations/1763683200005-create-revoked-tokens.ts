import type { MigrationInterface, QueryRunner } from 'typeorm';
import { createOrAdopt, dropOrRelease, type OwnTable } from './adoptable-table.js';

const TABLE: OwnTable = {
  name: 'revoked_tokens',
  seed: ['jti varchar(64) NOT NULL CONSTRAINT revoked_tokens_pkey PRIMARY KEY', 'exp timestamptz NOT NULL'],
  own: [],
};

/** The list of revoked self-contained tokens: `jti` and `exp`, as an existing blacklist of JWTs has them. */
export class CreateRevokedTokens1763683200005 implements MigrationInterface {
  name = 'CreateRevokedTokens1763683200005';

  async up(queryRunner: QueryRunner): Promise<void> {
    await createOrAdopt(queryRunner, TABLE);
    await queryRunner.query('CREATE INDEX IF NOT EXISTS revoked_tokens_exp_idx ON revoked_tokens (exp)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await dropOrRelease(queryRunner, TABLE);
  }
}
