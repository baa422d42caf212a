import type { MigrationInterface, QueryRunner } from 'typeorm';
import type { UserIdType } from '../entities/session.entity.js';
import { createOrAdopt, dropOrRelease, type OwnTable } from './adoptable-table.js';

const NAME = 'CreateSessions1763683200002';

const OWN = [
  'handle uuid NOT NULL DEFAULT gen_random_uuid()',
  'last_seen_at timestamptz',
  'authenticated_at timestamptz',
  'absolute_expires_at timestamptz',
  'ip text',
  'user_agent text',
  'rotated_at timestamptz',
  'successor text',
];

/** The key of the advisory lock of one user's sessions. */
export const lockOf = (owner: string) => `hashtextextended('nestjs-latchkey:sessions:' || ${owner}::text, 0)`;
/** Held until the transaction ends, by everything that opens or ends sessions of the user. */
const LOCK_USER = `PERFORM pg_advisory_xact_lock(${lockOf('of_user')})`;

/**
 * A new password, disabling, "sign out everywhere": moves the cutoff forward, always by something and past the last
 * login (a JWT or signed cookie has no row to delete), and deletes the sessions. The locks come first, so that the DELETE
 * sees every session that was opened or rotated before it; in the order in which opening takes them.
 */
const END_ACCESS = `
  CREATE FUNCTION latchkey_end_access(of_user uuid, instant timestamptz, new_hash text, disables boolean)
  RETURNS boolean LANGUAGE plpgsql AS $$
  BEGIN
    ${LOCK_USER};
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
 * The locks of everybody whose sessions these are, and of `of_user` where given, in one order for all callers, so that
 * two of them never wait for each other. The owner of a row never changes, so that it may be read before.
 */
const lockOwners = (userId: UserIdType) => `
  CREATE FUNCTION latchkey_lock_owners(ids text[], of_user ${userId}) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    key bigint;
  BEGIN
    FOR key IN
      SELECT ${lockOf('user_id')} FROM sessions WHERE id = ANY(ids)
      UNION SELECT ${lockOf('of_user')} WHERE of_user IS NOT NULL ORDER BY 1
    LOOP
      PERFORM pg_advisory_xact_lock(key);
    END LOOP;
  END $$`;

/**
 * Ends the families of these rows, rotated or not. `ended`: the number of sessions; rotated rows do not count.
 * `presented`: how many of the ids named rotated rows; each row is reported to one call only. `users` and `handles`:
 * whose sessions ended and which, side by side.
 */
const CLOSE_FAMILIES = `
  CREATE FUNCTION latchkey_close_families(
    ids text[], OUT ended integer, OUT presented integer, OUT users text[], OUT handles text[]
  ) LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM latchkey_lock_owners(ids, NULL);
    WITH deleted AS (
      DELETE FROM sessions WHERE (user_id, handle) IN (SELECT user_id, handle FROM sessions WHERE id = ANY(ids))
      RETURNING id, user_id, handle, rotated_at)
    SELECT count(*) FILTER (WHERE rotated_at IS NULL), count(*) FILTER (WHERE rotated_at IS NOT NULL AND id = ANY(ids)),
        coalesce(array_agg(user_id::text) FILTER (WHERE rotated_at IS NULL), '{}'),
        coalesce(array_agg(handle::text) FILTER (WHERE rotated_at IS NULL), '{}')
      INTO ended, presented, users, handles FROM deleted;
  END $$`;

/** Rotated rows that are kept of one user, where the cap of sessions is lower: the most recent ones. */
const MOST_ROTATED = 25;

/**
 * Waits for a password change or disabling that is under way, and holds up the next until this session is there to be
 * deleted. A login whose account changed since its password was read opens nothing. One that did not is valid, however
 * far the clock of the process that moved the cutoff was ahead.
 */
export const lockAccount = (refuse: string) => `
          IF checks_cutoff THEN
            DECLARE
              account users;
            BEGIN
              SELECT * INTO account FROM users WHERE id = of_user FOR SHARE;
              IF account.disabled_at IS NOT NULL OR account.tokens_invalidated_after IS DISTINCT FROM cutoff THEN
                ${refuse};
              END IF;
              authenticated := greatest(authenticated, cutoff + interval '1 microsecond');
            END;
          END IF;`;

const END_OVER_CAP = `RETURN QUERY DELETE FROM sessions WHERE id IN (
            SELECT ranked.id FROM (
              SELECT s.id, s.rotated_at, row_number() OVER (PARTITION BY s.rotated_at IS NULL
                  ORDER BY s.expires_at > instant DESC, coalesce(s.rotated_at, s.last_seen_at, s.created_at) DESC, s.id) AS place
                FROM sessions s WHERE s.user_id = of_user) ranked
              WHERE place > CASE WHEN rotated_at IS NULL THEN max_sessions - 1 ELSE greatest(max_sessions, ${MOST_ROTATED}) END)
            RETURNING *;`;

/** `unless`: if true, nothing is over the cap, and the search for it is skipped. */
export const openSession = (
  userId: UserIdType,
  { referencesUsers, unless }: { referencesUsers: boolean; unless?: string },
): string => `
        CREATE OR REPLACE FUNCTION latchkey_open_session(
          new_id text, of_user ${userId}, instant timestamptz, ttl interval, lifetime interval, authenticated timestamptz,
          from_ip text, agent text, replaced_id text, max_sessions integer, checks_cutoff boolean, cutoff timestamptz,
          sealed_successor text
        ) RETURNS SETOF sessions LANGUAGE plpgsql AS $$
        DECLARE
          replaced sessions;
          ends_at timestamptz := authenticated + lifetime;
          family uuid := gen_random_uuid();
        BEGIN
          IF replaced_id IS NULL OR authenticated IS NULL THEN
            ${LOCK_USER};
          ELSE
            PERFORM latchkey_lock_owners(ARRAY[replaced_id], of_user);
          END IF;
          ${referencesUsers ? lockAccount('RETURN') : ''}
          IF authenticated IS NULL THEN
            UPDATE sessions s SET rotated_at = instant, successor = sealed_successor, expires_at = least(s.expires_at, instant),
                absolute_expires_at = coalesce(s.absolute_expires_at, s.created_at + lifetime)
              WHERE s.id = replaced_id AND s.user_id = of_user AND s.rotated_at IS NULL AND s.expires_at > instant
                AND coalesce(s.absolute_expires_at, s.created_at + lifetime) > instant
              RETURNING * INTO replaced;
            IF NOT FOUND THEN
              RETURN;
            END IF;
            authenticated := coalesce(replaced.authenticated_at, replaced.created_at);
            ends_at := replaced.absolute_expires_at;
            family := replaced.handle;
          ELSIF replaced_id IS NOT NULL THEN
            RETURN QUERY DELETE FROM sessions s USING sessions r
              WHERE r.id = replaced_id AND s.user_id = r.user_id AND s.handle = r.handle RETURNING s.*;
          END IF;
          ${unless === undefined ? END_OVER_CAP : `IF NOT ${unless} THEN ${END_OVER_CAP} END IF;`}
          RETURN QUERY INSERT INTO sessions (id, user_id, created_at, expires_at, handle, last_seen_at, authenticated_at,
              absolute_expires_at, ip, user_agent)
            VALUES (new_id, of_user, instant, least(instant + ttl, ends_at), family, instant, authenticated, ends_at,
              from_ip, agent)
            RETURNING *;
        END $$`;

/**
 * Table `sessions` with the columns that a source system may have already and our additive ones, and the functions that
 * decide about all sessions of one user. Opening and ending take the same advisory lock, keyed by the user, **before**
 * they read: a lock inside the deciding statement would come after that statement's snapshot, 26 concurrent logins
 * would leave 26 sessions, and a logout would miss the row that a rotation is inserting.
 *
 * A rotated row stays, with `rotated_at` set: it is no session any more. It shares its `handle` with its successor, so
 * that (user_id, handle) names the family, which ends as a whole. It is kept until no session of its family could be
 * alive, so it gets the family's absolute lifetime where another program has given it none.
 *
 * Opening answers the new session, and before it the rows that ended with it: of what a login replaces, and over the cap.
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
  class CreateSessions1763683200002 implements MigrationInterface {
    name = NAME;

    async up(queryRunner: QueryRunner): Promise<void> {
      await createOrAdopt(queryRunner, table);
      await queryRunner.query('CREATE INDEX IF NOT EXISTS sessions_user_id_idx ON sessions (user_id)');
      await queryRunner.query(lockOwners(userId));
      await queryRunner.query(openSession(userId, { referencesUsers }));
      if (referencesUsers) await queryRunner.query(END_ACCESS);
      await queryRunner.query(`
        CREATE FUNCTION latchkey_close_sessions(of_user ${userId}, kept_id text) RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
          kept uuid;
          ended integer;
        BEGIN
          ${LOCK_USER};
          SELECT handle INTO kept FROM sessions WHERE id = kept_id AND user_id = of_user;
          WITH deleted AS (
            DELETE FROM sessions WHERE user_id = of_user AND handle IS DISTINCT FROM kept RETURNING rotated_at)
          SELECT count(*) FILTER (WHERE rotated_at IS NULL) INTO ended FROM deleted;
          RETURN ended;
        END $$`);
      await queryRunner.query(`
        CREATE FUNCTION latchkey_close_family(of_user ${userId}, of_handle uuid) RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
          ended integer;
        BEGIN
          ${LOCK_USER};
          WITH deleted AS (DELETE FROM sessions WHERE user_id = of_user AND handle = of_handle RETURNING rotated_at)
          SELECT count(*) FILTER (WHERE rotated_at IS NULL) INTO ended FROM deleted;
          RETURN ended;
        END $$`);
      await queryRunner.query(CLOSE_FAMILIES);
    }

    async down(queryRunner: QueryRunner): Promise<void> {
      if (referencesUsers) await queryRunner.query('DROP FUNCTION latchkey_end_access');
      for (const name of ['close_families', 'close_family', 'close_sessions', 'open_session', 'lock_owners']) {
        await queryRunner.query(`DROP FUNCTION latchkey_${name}`);
      }
      await dropOrRelease(queryRunner, table);
    }
  }
  return CreateSessions1763683200002;
}
