import type { MigrationInterface, QueryRunner } from 'typeorm';
import type { UserIdType } from '../../session/session.entity.js';

const NAME = 'CreateSessions1763683200002';

/**
 * Table `sessions` as in seed 002 with our additive columns, and the two functions that decide about all sessions of
 * one user. Both take the same advisory lock, keyed by the user, **before** they read: a lock inside the deciding
 * statement would come after that statement's snapshot, and 26 concurrent logins would leave 26 sessions.
 */
export function createSessionsFor(
  userId: UserIdType,
  { referencesUsers }: { referencesUsers: boolean },
): new () => MigrationInterface {
  const foreignKey = referencesUsers ? 'CONSTRAINT sessions_user_id_fkey REFERENCES users (id) ON DELETE CASCADE' : '';
  const lockUser = `PERFORM pg_advisory_xact_lock(hashtextextended('nestjs-latchkey:sessions:' || of_user::text, 0))`;

  class CreateSessions1763683200002 implements MigrationInterface {
    name = NAME;

    async up(queryRunner: QueryRunner): Promise<void> {
      await queryRunner.query(`
        CREATE TABLE sessions (
          id text NOT NULL CONSTRAINT sessions_pkey PRIMARY KEY,
          user_id ${userId} NOT NULL ${foreignKey},
          created_at timestamptz NOT NULL DEFAULT now(),
          expires_at timestamptz NOT NULL,
          handle uuid NOT NULL DEFAULT gen_random_uuid(),
          last_seen_at timestamptz,
          authenticated_at timestamptz,
          absolute_expires_at timestamptz,
          ip text,
          user_agent text
        )`);
      await queryRunner.query('CREATE INDEX sessions_user_id_idx ON sessions (user_id)');
      await queryRunner.query(`
        CREATE FUNCTION latchkey_open_session(
          new_id text, of_user ${userId}, instant timestamptz, ttl interval, lifetime interval, authenticated timestamptz,
          from_ip text, agent text, replaced_id text, max_sessions integer
        ) RETURNS SETOF sessions LANGUAGE plpgsql AS $$
        DECLARE
          replaced sessions;
          ends_at timestamptz := instant + lifetime;
        BEGIN
          ${lockUser};
          IF replaced_id IS NOT NULL THEN
            DELETE FROM sessions s WHERE s.id = replaced_id
              AND (authenticated IS NOT NULL OR (s.user_id = of_user AND s.expires_at > instant
                   AND coalesce(s.absolute_expires_at, s.created_at + lifetime) > instant))
              RETURNING * INTO replaced;
          END IF;
          IF authenticated IS NULL THEN
            IF replaced.id IS NULL THEN
              RETURN;
            END IF;
            authenticated := coalesce(replaced.authenticated_at, replaced.created_at);
            ends_at := coalesce(replaced.absolute_expires_at, replaced.created_at + lifetime);
          END IF;
          DELETE FROM sessions WHERE id IN (
            SELECT s.id FROM sessions s WHERE s.user_id = of_user
              ORDER BY s.expires_at > instant DESC, coalesce(s.last_seen_at, s.created_at) DESC, s.id
              OFFSET max_sessions - 1);
          RETURN QUERY INSERT INTO sessions (id, user_id, created_at, expires_at, last_seen_at, authenticated_at,
              absolute_expires_at, ip, user_agent)
            VALUES (new_id, of_user, instant, least(instant + ttl, ends_at), instant, authenticated, ends_at, from_ip, agent)
            RETURNING *;
        END $$`);
      await queryRunner.query(`
        CREATE FUNCTION latchkey_close_sessions(of_user ${userId}, kept_id text) RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
          deleted integer;
        BEGIN
          ${lockUser};
          DELETE FROM sessions WHERE user_id = of_user AND id IS DISTINCT FROM kept_id;
          GET DIAGNOSTICS deleted = ROW_COUNT;
          RETURN deleted;
        END $$`);
    }

    async down(queryRunner: QueryRunner): Promise<void> {
      await queryRunner.query('DROP FUNCTION latchkey_close_sessions');
      await queryRunner.query('DROP FUNCTION latchkey_open_session');
      await queryRunner.query('DROP TABLE sessions');
    }
  }
  return CreateSessions1763683200002;
}
