import type { MigrationInterface, QueryRunner } from 'typeorm';
import { createOwnIndex, dropOwnIndex, type OwnIndex } from './adoptable-index.js';

/**
 * Sessions by the end of their life, apart from the rotated rows among them: those end much later than their `expires_at`
 * says, and every batch would walk over all of them.
 */
const INDEXES: readonly OwnIndex[] = [
  { name: 'sessions_expired_idx', on: 'sessions (expires_at) WHERE rotated_at IS NULL' },
  { name: 'sessions_rotated_idx', on: 'sessions (absolute_expires_at) WHERE rotated_at IS NOT NULL' },
];

/**
 * What `CleanupService` finds its rows by. Tokens have their indexes already; rate-limit events are found in the order
 * of the table, since no insert should pay for an index that only the cleanup would use.
 */
export class Cleanup1763683200007 implements MigrationInterface {
  name = 'Cleanup1763683200007';

  async up(queryRunner: QueryRunner): Promise<void> {
    for (const index of INDEXES) await createOwnIndex(queryRunner, index);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const index of INDEXES) await dropOwnIndex(queryRunner, index);
  }
}
