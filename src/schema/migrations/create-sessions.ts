import type { MigrationInterface } from 'typeorm';
import { quoted, type SchemaNames } from '../schema-names.js';
import { migrationClass, onOwnPath, type AuthSchemaSettings } from './auth-migration.js';
import {
  createOrAdopt,
  createOwnIndex,
  dropOrRelease,
  dropOwnIndex,
  type OwnIndex,
  type OwnTable,
} from './own-table.js';
import { publishChanges, stopPublishing, type PublishedTable } from './publish-changes.js';

const table = (
  { sessions, users }: SchemaNames['tables'],
  names: SchemaNames,
  userId: string | undefined,
): OwnTable => ({
  name: sessions,
  seed: [
    `id text NOT NULL CONSTRAINT ${quoted(`${sessions}_pkey`)} PRIMARY KEY`,
    userId === undefined
      ? `user_id uuid NOT NULL CONSTRAINT ${quoted(`${sessions}_user_id_fkey`)}
          REFERENCES ${names.qualified(users)} (id) ON DELETE CASCADE`
      : `user_id ${userId} NOT NULL`,
    'created_at timestamptz NOT NULL DEFAULT now()',
    'expires_at timestamptz NOT NULL',
  ],
  own: [
    'handle uuid NOT NULL DEFAULT gen_random_uuid()',
    'last_seen_at timestamptz',
    'authenticated_at timestamptz',
    'absolute_expires_at timestamptz',
    'ip text',
    'user_agent text',
    'rotated_at timestamptz',
    'successor text',
  ],
});

/**
 * By user; and for the cleanup by end of life, with the rotated rows apart: those end much later than their
 * `expires_at` says, and every batch would scan all of them.
 */
const indexes = (name: string): readonly OwnIndex[] => [
  { name: `${name}_user_id_idx`, on: '(user_id)' },
  { name: `${name}_expired_idx`, on: '(expires_at) WHERE rotated_at IS NULL' },
  { name: `${name}_successor_idx`, on: '(rotated_at) WHERE successor IS NOT NULL' },
  { name: `${name}_rotated_idx`, on: '(absolute_expires_at) WHERE rotated_at IS NOT NULL' },
];

const NOT_PURGING = "pg_catalog.current_setting('latchkey.purging'::text, true) IS DISTINCT FROM 'on'";

/** No process has in memory what the cleanup deletes: it sets latchkey.purging. */
const published = (name: string): PublishedTable => ({
  table: name,
  kind: 'sessions',
  feature: 'sessions',
  changes: {
    UPDATE: ['OLD TABLE AS before', `SELECT id::text FROM before WHERE ${NOT_PURGING}`],
    DELETE: ['OLD TABLE AS before', `SELECT id::text FROM before WHERE ${NOT_PURGING}`],
  },
});

/** The functions, each after those it calls. They take a user id as text, whatever its type. */
interface SessionFunctions {
  /** The tables, as named inside a function. */
  readonly sessions: string;
  readonly users: string;
  /** The row type of `sessions`, for the head of a function. */
  readonly sessionRows: string;
  /** Type of `user_id`. */
  readonly userId: string;
  /** Whether `users` is ours, and so the state of an account is known. */
  readonly ownUsers: boolean;
  readonly named: (name: string) => string;
  readonly path: string;
}

/** The key of the advisory lock for one user's sessions. */
const lockOf = (owner: string) =>
  `pg_catalog.hashtextextended('nestjs-latchkey:sessions:' || ${owner}::text, 0::bigint)`;
/** Held until the transaction ends, by everything that opens or ends sessions of the user. */
const LOCK_USER = `PERFORM pg_catalog.pg_advisory_xact_lock(${lockOf('owner')})`;

/**
 * Takes the locks of all owners of these sessions, and of `owner` if given, in one order for all callers, so that two
 * of them never wait for each other. The owner of a row never changes, so it may be read beforehand.
 */
const lockOwners = ({ named, path, userId, sessions }: SessionFunctions) => `
  CREATE OR REPLACE FUNCTION ${named('lock_owners')}(ids text[], owner ${userId}) RETURNS void ${path} AS $$
  DECLARE
    key bigint;
  BEGIN
    FOR key IN
      SELECT ${lockOf('user_id')} FROM ${sessions} WHERE id = ANY(ids)
      UNION SELECT ${lockOf('owner')} WHERE owner IS NOT NULL ORDER BY 1
    LOOP
      PERFORM pg_catalog.pg_advisory_xact_lock(key);
    END LOOP;
  END $$`;

/**
 * Waits for a password change or disabling in progress, and holds up the next one until this session is there to be
 * deleted. A login whose account has changed since its password was read opens nothing. Otherwise it is valid, however
 * far ahead the clock of the process that moved the cutoff was.
 */
const lockAccount = ({ users, ownUsers }: SessionFunctions, refuse: string) =>
  ownUsers
    ? `
    IF checks_cutoff THEN
      DECLARE
        account ${users};
      BEGIN
        SELECT * INTO account FROM ${users} WHERE id = owner FOR SHARE;
        IF account.disabled_at IS NOT NULL OR account.tokens_invalidated_after IS DISTINCT FROM cutoff THEN
          ${refuse};
        END IF;
        authenticated := greatest(authenticated, cutoff + interval '1 microsecond');
      END;
    END IF;`
    : '';

/**
 * Whether there are so few rows, rotated or not, that one more ends none. Evaluate it under the user's lock, in a
 * statement after that.
 */
const underCap = ({ sessions }: SessionFunctions) =>
  `NOT EXISTS (SELECT FROM ${sessions} WHERE user_id = owner OFFSET max_sessions - 1)`;

/**
 * Most logins end nothing: they replace no session, and their user has fewer than the maximum. This function is for
 * those: it takes the user's lock, inserts, and returns one value, which is less work for the server than a set of
 * rows: the handle, when the user authenticated (epoch seconds) and the user's id as stored. It returns null, having
 * changed nothing, if the account has changed since or something may have to end: `latchkey_open_session` decides that.
 *
 * The lock is tried first, since an expression is cheaper than a query. The insert is a later statement either way, and
 * so has a snapshot younger than the lock.
 */
const addSession = (f: SessionFunctions) => `
  CREATE OR REPLACE FUNCTION ${f.named('add_session')}(
    new_id text, of_user text, instant timestamptz, ttl interval, lifetime interval, authenticated timestamptz,
    from_ip text, agent text, max_sessions integer, checks_cutoff boolean, cutoff timestamptz
  ) RETURNS text ${f.path} AS $$
  DECLARE
    owner ${f.userId} := of_user;
    family uuid := pg_catalog.gen_random_uuid();
    key bigint := ${lockOf('owner')};
    ends_at timestamptz := authenticated + lifetime;
  BEGIN
    IF NOT pg_catalog.pg_try_advisory_xact_lock(key) THEN
      PERFORM pg_catalog.pg_advisory_xact_lock(key);
    END IF;${lockAccount(f, 'RETURN NULL')}
    INSERT INTO ${f.sessions} (id, user_id, created_at, expires_at, handle, last_seen_at, authenticated_at,
        absolute_expires_at, ip, user_agent)
      SELECT new_id, owner, instant, least(instant + ttl, ends_at), family, instant, authenticated, ends_at,
        from_ip, agent
      WHERE ${underCap(f)};
    IF FOUND THEN
      RETURN pg_catalog.concat_ws(' '::text, family, pg_catalog.date_part('epoch'::text, authenticated), owner);
    END IF;
    RETURN NULL;
  END $$`;

/** How many rotated rows of one user are kept, if the cap of sessions is lower: the most recent ones. */
const MAX_ROTATED = 25;

/**
 * Opens or rotates a session (`PostgresSessionStore.open`). Returns the new session, and before it the rows that ended
 * with it: the family a login replaces, and those over the cap. The user's sessions are ranked only if one may be over
 * the cap.
 *
 * Without `rotation`, the database's clock says when a session was rotated: another process, whose clock may differ,
 * decides whether its token still comes in time. Not `now()`, since the transaction may have begun long ago.
 */
const openSession = (f: SessionFunctions) => `
  CREATE OR REPLACE FUNCTION ${f.named('open_session')}(
    new_id text, of_user text, instant timestamptz, ttl interval, lifetime interval, authenticated timestamptz,
    from_ip text, agent text, replaced_id text, max_sessions integer, checks_cutoff boolean, cutoff timestamptz,
    sealed_successor text, rotation timestamptz
  ) RETURNS SETOF ${f.sessionRows} ${f.path} AS $$
  DECLARE
    owner ${f.userId} := of_user;
    replaced ${f.sessions};
    ends_at timestamptz := authenticated + lifetime;
    family uuid := pg_catalog.gen_random_uuid();
  BEGIN
    IF replaced_id IS NULL OR authenticated IS NULL THEN
      ${LOCK_USER};
    ELSE
      PERFORM latchkey_lock_owners(ARRAY[replaced_id], owner);
    END IF;${lockAccount(f, 'RETURN')}
    IF authenticated IS NULL THEN
      UPDATE ${f.sessions} s SET rotated_at = coalesce(rotation, pg_catalog.clock_timestamp()),
          successor = sealed_successor, expires_at = least(s.expires_at, instant),
          absolute_expires_at = coalesce(s.absolute_expires_at, s.created_at + lifetime)
        WHERE s.id = replaced_id AND s.user_id = owner AND s.rotated_at IS NULL AND s.expires_at > instant
          AND coalesce(s.absolute_expires_at, s.created_at + lifetime) > instant
        RETURNING * INTO replaced;
      IF NOT FOUND THEN
        RETURN;
      END IF;
      authenticated := coalesce(replaced.authenticated_at, replaced.created_at);
      ends_at := replaced.absolute_expires_at;
      family := replaced.handle;
    ELSIF replaced_id IS NOT NULL THEN
      RETURN QUERY DELETE FROM ${f.sessions} s USING ${f.sessions} r
        WHERE r.id = replaced_id AND s.user_id = r.user_id AND s.handle = r.handle RETURNING s.*;
    END IF;
    IF NOT ${underCap(f)} THEN
      RETURN QUERY DELETE FROM ${f.sessions} WHERE id IN (
        SELECT ranked.id FROM (
          SELECT s.id, s.rotated_at, pg_catalog.row_number() OVER (PARTITION BY s.rotated_at IS NULL
              ORDER BY s.expires_at > instant DESC, coalesce(s.rotated_at, s.last_seen_at, s.created_at) DESC, s.id) AS place
            FROM ${f.sessions} s WHERE s.user_id = owner) ranked
          WHERE place > CASE WHEN rotated_at IS NULL THEN max_sessions - 1 ELSE greatest(max_sessions, ${MAX_ROTATED}) END)
        RETURNING *;
    END IF;
    RETURN QUERY INSERT INTO ${f.sessions} (id, user_id, created_at, expires_at, handle, last_seen_at, authenticated_at,
        absolute_expires_at, ip, user_agent)
      VALUES (new_id, owner, instant, least(instant + ttl, ends_at), family, instant, authenticated, ends_at,
        from_ip, agent)
      RETURNING *;
  END $$`;

/**
 * "Sign out everywhere", or everywhere else: ends the families of this user except that of `kept_id`. Returns the
 * number of sessions ended.
 */
const closeSessions = ({ named, path, userId, sessions }: SessionFunctions) => `
  CREATE OR REPLACE FUNCTION ${named('close_sessions')}(of_user text, kept_id text) RETURNS integer ${path} AS $$
  DECLARE
    owner ${userId} := of_user;
    kept uuid;
    ended integer;
  BEGIN
    ${LOCK_USER};
    SELECT handle INTO kept FROM ${sessions} WHERE id = kept_id AND user_id = owner;
    WITH deleted AS (
      DELETE FROM ${sessions} WHERE user_id = owner AND handle IS DISTINCT FROM kept RETURNING rotated_at)
    SELECT pg_catalog.count(*) FILTER (WHERE rotated_at IS NULL) INTO ended FROM deleted;
    RETURN ended;
  END $$`;

/** Ends one family of this user, by its public handle. Returns the number of sessions ended: one or none. */
const closeFamily = ({ named, path, userId, sessions }: SessionFunctions) => `
  CREATE OR REPLACE FUNCTION ${named('close_family')}(of_user text, of_handle uuid) RETURNS integer ${path} AS $$
  DECLARE
    owner ${userId} := of_user;
    ended integer;
  BEGIN
    ${LOCK_USER};
    WITH deleted AS (DELETE FROM ${sessions} WHERE user_id = owner AND handle = of_handle RETURNING rotated_at)
    SELECT pg_catalog.count(*) FILTER (WHERE rotated_at IS NULL) INTO ended FROM deleted;
    RETURN ended;
  END $$`;

/**
 * Ends the families of these rows, rotated or not. `ended`: the number of sessions; rotated rows do not count.
 * `presented`: how many of the ids named rotated rows; each row is reported to one call only. `users` and `handles`:
 * the sessions that ended and their owners, side by side.
 */
const closeFamilies = ({ named, path, userId, sessions }: SessionFunctions) => `
  CREATE OR REPLACE FUNCTION ${named('close_families')}(
    ids text[], OUT ended integer, OUT presented integer, OUT users text[], OUT handles text[]
  ) ${path} AS $$
  BEGIN
    PERFORM latchkey_lock_owners(ids, NULL::${userId});
    WITH deleted AS (
      DELETE FROM ${sessions} WHERE (user_id, handle) IN (SELECT user_id, handle FROM ${sessions} WHERE id = ANY(ids))
      RETURNING id, user_id, handle, rotated_at)
    SELECT pg_catalog.count(*) FILTER (WHERE rotated_at IS NULL), pg_catalog.count(*) FILTER (WHERE rotated_at IS NOT NULL AND id = ANY(ids)),
        coalesce(pg_catalog.array_agg(user_id::text) FILTER (WHERE rotated_at IS NULL), '{}'),
        coalesce(pg_catalog.array_agg(handle::text) FILTER (WHERE rotated_at IS NULL), '{}')
      INTO ended, presented, users, handles FROM deleted;
  END $$`;

/**
 * A new password, disabling, "sign out everywhere": moves the cutoff forward, always by something and past the last
 * login (a JWT or signed cookie has no row to delete), and deletes the sessions. The locks come first, in the order in
 * which opening takes them, so that the DELETE sees every session that was opened or rotated before.
 */
const endAccess = ({ named, path, sessions, users }: SessionFunctions) => `
  CREATE OR REPLACE FUNCTION ${named('end_access')}(of_user uuid, instant timestamptz, new_hash text, disables boolean)
  RETURNS boolean ${path} AS $$
  DECLARE
    owner uuid := of_user;
  BEGIN
    ${LOCK_USER};
    UPDATE ${users} SET updated_at = instant,
      tokens_invalidated_after = greatest(instant, last_login_at, tokens_invalidated_after + interval '1 microsecond'),
      password_hash = coalesce(new_hash, password_hash),
      disabled_at = CASE WHEN disables THEN coalesce(disabled_at, instant) ELSE disabled_at END
    WHERE id = owner;
    IF NOT FOUND THEN
      RETURN false;
    END IF;
    DELETE FROM ${sessions} WHERE user_id = owner;
    RETURN true;
  END $$`;

/**
 * Sessions: the columns of xtablo and our additional ones, and the functions that decide about all sessions of one
 * user. Opening and ending take the same advisory lock, keyed by the user, **before** they read: a lock inside the
 * deciding statement would come after that statement's snapshot, 26 concurrent logins would leave 26 sessions, and a
 * logout would miss the row that a rotation is inserting.
 *
 * A rotated row stays, with `rotated_at` set, but is no longer a session. It shares its `handle` with its successor, so
 * that (user_id, handle) names the family, which ends as a whole. It is kept until no session of its family could be
 * alive, so it gets the family's absolute lifetime if another program has given it none.
 */
export function createSessions(settings: AuthSchemaSettings): new () => MigrationInterface {
  const { userId, tables } = settings;
  const name = tables.sessions;
  return migrationClass(settings, {
    name: 'CreateSessions1763683200002',

    async up(queryRunner, names) {
      await createOrAdopt(queryRunner, names, table(tables, names, userId));
      for (const index of indexes(name)) await createOwnIndex(queryRunner, names, name, index);
      const functions: SessionFunctions = {
        sessions: quoted(name),
        users: quoted(tables.users),
        sessionRows: names.sessions,
        userId: userId ?? 'uuid',
        ownUsers: userId === undefined,
        named: (functionName) => names.qualified(`latchkey_${functionName}`),
        path: onOwnPath(names),
      };
      await queryRunner.query(lockOwners(functions));
      await queryRunner.query(addSession(functions));
      await queryRunner.query(openSession(functions));
      await queryRunner.query(closeSessions(functions));
      await queryRunner.query(closeFamily(functions));
      await queryRunner.query(closeFamilies(functions));
      if (functions.ownUsers) await queryRunner.query(endAccess(functions));
      await publishChanges(queryRunner, names, published(name));
    },

    async down(queryRunner, names) {
      await stopPublishing(queryRunner, names, published(name));
      const functions = [
        'close_families',
        'close_family',
        'close_sessions',
        'open_session',
        'add_session',
        'lock_owners',
      ];
      if (userId === undefined) functions.push('end_access');
      for (const functionName of functions) {
        await queryRunner.query(`DROP FUNCTION ${names.qualified(`latchkey_${functionName}`)}`);
      }
      for (const index of indexes(name)) await dropOwnIndex(queryRunner, names, index.name);
      await dropOrRelease(queryRunner, names, name);
    },
  });
}
