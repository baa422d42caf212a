import type { MigrationInterface, QueryRunner } from 'typeorm';
import type { UserIdType } from '../../session/session.entity.js';
import { createOrAdopt, dropOrRelease, type OwnTable } from './own-table.js';

const NAME = 'CreateSessions1763683200002';

const OWN = [
  'handle uuid NOT NULL DEFAULT gen_random_uuid()',
  'last_seen_at timestamptz',
  'authenticated_at timestamptz',
  'absolute_expires_at timestamptz',
  'ip text',
  'user_agent text',
];

/**
 * A new password, disabling, "sign out everywhere": moves the cutoff forward, always by something and past the last
 * login (a JWT or signed cookie has no row to delete), and deletes the sessions. The row lock of the UPDATE comes first,
 * so that the DELETE sees every session that was opened before it.
 */
const END_ACCESS = `
  CREATE FUNCTION latchkey_end_access(of_user uuid, instant timestamptz, new_hash text, disables boolean)
  RETURNS boolean LANGUAGE plpgsql AS $$
  BEGIN
    UPDATE users SET updated_at = instant,
      tokens_invalidated_after = greatest(instant, last_login_at, tokens_invalidated_after + interval '1 microsecond'),
      password_hash = coalesce(new_hash, password_hash),
      disabled_at = CASE WHEN disables THEN coalesce(disabled_at, instant) ELSE disabled_at END
    WHERE id = of_user;
    IF NOT FOUND THEN
      RETURN false;
    END IF;
    DELETE FROM sessions WHERE user_id = of_user;
    RETURN true;
  END $$`;

/**
 * Table `sessions` as in seed 002 with our additive columns, and the functions that decide about all sessions of one
 * user. Opening and closing take the same advisory lock, keyed by the user, **before** they read: a lock inside the
 * deciding statement would come after that statement's snapshot, and 26 concurrent logins would leave 26 sessions.
 */
export function createSessionsFor(
  userId: UserIdType,
  { referencesUsers }: { referencesUsers: boolean },
): new () => MigrationInterface {
  const foreignKey = referencesUsers ? 'CONSTRAINT sessions_user_id_fkey REFERENCES users (id) ON DELETE CASCADE' : '';
  const table: OwnTable = {
    name: 'sessions',
    seed: [
      'id text NOT NULL CONSTRAINT sessions_pkey PRIMARY KEY',
      `user_id ${userId} NOT NULL ${foreignKey}`,
      'created_at timestamptz NOT NULL DEFAULT now()',
      'expires_at timestamptz NOT NULL',
    ],
    own: OWN,
  };
  const lockUser = `PERFORM pg_advisory_xact_lock(hashtextextended('nestjs-latchkey:sessions:' || of_user::text, 0))`;
  // Waits for a password change or disabling that is under way, and holds up the next until this session is there to be
  // deleted. A login whose account changed since its password was read opens nothing. One that did not is valid, however
  // far the clock of the process that moved the cutoff was ahead.
  const lockAccount = `
          IF checks_cutoff THEN
            DECLARE
              account users;
            BEGIN
              SELECT * INTO account FROM users WHERE id = of_user FOR SHARE;
              IF account.disabled_at IS NOT NULL OR account.tokens_invalidated_after IS DISTINCT FROM cutoff THEN
                RETURN;
              END IF;
              authenticated := greatest(authenticated, cutoff + interval '1 microsecond');
            END;
          END IF;`;

  class CreateSessions1763683200002 implements MigrationInterface {
    name = NAME;

    async up(queryRunner: QueryRunner): Promise<void> {
      await createOrAdopt(queryRunner, table);
      await queryRunner.query('CREATE INDEX IF NOT EXISTS sessions_user_id_idx ON sessions (user_id)');
      await queryRunner.query(`
        CREATE FUNCTION latchkey_open_session(
          new_id text, of_user ${userId}, instant timestamptz, ttl interval, lifetime interval, authenticated timestamptz,
          from_ip text, agent text, replaced_id text, max_sessions integer, checks_cutoff boolean, cutoff timestamptz
        ) RETURNS SETOF sessions LANGUAGE plpgsql AS $$
        DECLARE
          replaced sessions;
          ends_at timestamptz := authenticated + lifetime;
        BEGIN
          ${lockUser};
          ${referencesUsers ? lockAccount : ''}
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
      if (referencesUsers) await queryRunner.query(END_ACCESS);
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
      if (referencesUsers) await queryRunner.query('DROP FUNCTION latchkey_end_access');
      await queryRunner.query('DROP FUNCTION latchkey_close_sessions');
      await queryRunner.query('DROP FUNCTION latchkey_open_session');
      await dropOrRelease(queryRunner, table);
    }
  }
  return CreateSessions1763683200002;
}
