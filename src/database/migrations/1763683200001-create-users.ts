import type { MigrationInterface, QueryRunner } from 'typeorm';
import { createOrAdopt, dropOrRelease } from './own-table.js';

const SEED = [
  'id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT users_pkey PRIMARY KEY',
  'email citext NOT NULL CONSTRAINT users_email_key UNIQUE',
  'password_hash text NOT NULL',
  'created_at timestamptz NOT NULL DEFAULT now()',
  'updated_at timestamptz NOT NULL DEFAULT now()',
];
const OWN = ['tokens_invalidated_after timestamptz', 'disabled_at timestamptz'];

/** Table `users` as in seed 002, and two nullable columns of our own. */
export class CreateUsers1763683200001 implements MigrationInterface {
  // TypeORM takes the class name by default, which a bundler may shorten.
  name = 'CreateUsers1763683200001';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('CREATE EXTENSION IF NOT EXISTS citext');
    await createOrAdopt(queryRunner, 'users', { seed: SEED, own: OWN });
  }

  /** The extension stays: other tables may use it by now. */
  async down(queryRunner: QueryRunner): Promise<void> {
    await dropOrRelease(queryRunner, 'users', OWN);
  }
}
