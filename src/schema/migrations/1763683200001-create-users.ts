import type { MigrationInterface, QueryRunner } from 'typeorm';
import { createOrAdopt, dropOrRelease, type OwnTable } from './adoptable-table.js';

const TABLE: OwnTable = {
  name: 'users',
  seed: [
    'id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT users_pkey PRIMARY KEY',
    'email citext NOT NULL CONSTRAINT users_email_key UNIQUE',
    'password_hash text NOT NULL',
    'created_at timestamptz NOT NULL DEFAULT now()',
    'updated_at timestamptz NOT NULL DEFAULT now()',
  ],
  own: ['tokens_invalidated_after timestamptz', 'disabled_at timestamptz', 'last_login_at timestamptz'],
};

/** Table `users` with the columns that a source system may have already, and three nullable ones of our own. */
export class CreateUsers1763683200001 implements MigrationInterface {
  // TypeORM takes the class name by default, which a bundler may shorten.
  name = 'CreateUsers1763683200001';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('CREATE EXTENSION IF NOT EXISTS citext');
    await createOrAdopt(queryRunner, TABLE);
  }

  /** The extension stays: other tables may use it by now. */
  async down(queryRunner: QueryRunner): Promise<void> {
    await dropOrRelease(queryRunner, TABLE);
  }
}
