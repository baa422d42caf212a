import type { MigrationInterface, QueryRunner } from 'typeorm';
import type { UserIdType } from '../entities/session.entity.js';
import { lockAccount, lockOf, openSession } from './1763683200002-create-sessions.js';

/** So few rows, rotated or not, that one more ends none. Ask under the user's lock, in a statement after it. */
const UNDER_CAP = 'NOT EXISTS (SELECT FROM sessions WHERE user_id = of_user OFFSET max_sessions - 1)';

/**
 * Most logins end nothing: they replace no session, and their user has fewer than may be. Those take the user's lock and
 * insert, in a function that answers one value, which is less work for the server than a set of rows: the handle, when
 * the user authenticated (epoch seconds) and the user's id as it is stored. It answers null, and has changed nothing,
 * where the account has changed since or something may have to end: `latchkey_open_session` decides that, and ranks the user's
 * sessions only where one may be over the cap.
 *
 * The lock is tried first, since an expression is cheaper than a query. The insert is a statement after it either way, and
 * so has a snapshot that is younger than the lock.
 */
export function openUnderTheCapFor(
  userId: UserIdType,
  { referencesUsers }: { referencesUsers: boolean },
): new () => MigrationInterface {
  class OpenUnderTheCap1763683200010 implements MigrationInterface {
    name = 'OpenUnderTheCap1763683200010';

    async up(queryRunner: QueryRunner): Promise<void> {
      await queryRunner.query(openSession(userId, { referencesUsers, unless: UNDER_CAP }));
      await queryRunner.query(`
        CREATE FUNCTION latchkey_add_session(
          new_id text, of_user ${userId}, instant timestamptz, ttl interval, lifetime interval, authenticated timestamptz,
          from_ip text, agent text, max_sessions integer, checks_cutoff boolean, cutoff timestamptz
        ) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE
          family uuid := gen_random_uuid();
          key bigint := ${lockOf('of_user')};
          ends_at timestamptz := authenticated + lifetime;
        BEGIN
          IF NOT pg_try_advisory_xact_lock(key) THEN
            PERFORM pg_advisory_xact_lock(key);
          END IF;
          ${referencesUsers ? lockAccount('RETURN NULL') : ''}
          INSERT INTO sessions (id, user_id, created_at, expires_at, handle, last_seen_at, authenticated_at,
              absolute_expires_at, ip, user_agent)
            SELECT new_id, of_user, instant, least(instant + ttl, ends_at), family, instant, authenticated, ends_at,
              from_ip, agent
            WHERE ${UNDER_CAP};
          IF FOUND THEN
            RETURN concat_ws(' ', family, date_part('epoch', authenticated), of_user);
          END IF;
          RETURN NULL;
        END $$`);
    }

    async down(queryRunner: QueryRunner): Promise<void> {
      await queryRunner.query('DROP FUNCTION latchkey_add_session');
      await queryRunner.query(openSession(userId, { referencesUsers }));
    }
  }
  return OpenUnderTheCap1763683200010;
}
