import { quoted, type SchemaNames } from '../schema-names.js';
import { onOwnPath, onOwnPathWithoutWaiting, type AuthSchemaSettings } from './auth-migration.js';

/** Where the functions are and what they work on. They take a user id as text, whatever its type. */
export interface SessionFunctions {
  /** The tables, as named inside a function. */
  readonly sessions: string;
  readonly users: string;
  /** The row type of `sessions`, for the head of a function. */
  readonly sessionRows: string;
  /** Type of `user_id`. */
  readonly userId: string;
  /** Whether `users` is ours, and so the state of an account is known. */
  readonly ownUsers: boolean;
  /** Whether a session knows what its login chose: since the migration RememberSessions. */
  readonly remembers: boolean;
  /** Whether a session knows how its user was authenticated: since the migration AddAssurance. */
  readonly assures: boolean;
  readonly named: (name: string) => string;
  readonly path: string;
  readonly pathWithoutWaiting: string;
}

export function sessionFunctions(
  { userId, tables }: AuthSchemaSettings,
  names: SchemaNames,
  { remembers, assures = false }: Pick<SessionFunctions, 'remembers'> & Partial<Pick<SessionFunctions, 'assures'>>,
): SessionFunctions {
  return {
    sessions: quoted(tables.sessions),
    users: quoted(tables.users),
    sessionRows: names.sessions,
    userId: userId ?? 'uuid',
    ownUsers: userId === undefined,
    remembers,
    assures,
    named: (functionName) => names.qualified(`latchkey_${functionName}`),
    path: onOwnPath(names),
    pathWithoutWaiting: onOwnPathWithoutWaiting(names),
  };
}

/** One more of a list, if sessions know what their login chose. */
const choice = ({ remembers }: SessionFunctions, item: string) => (remembers ? `, ${item}` : '');
/** The same, if they know how their user was authenticated. */
const assurance = ({ assures }: SessionFunctions, items: string) => (assures ? `, ${items}` : '');
/** The defaults are for processes of the version before, which go on during a deployment. */
const CHOSEN = 'is_remembered boolean DEFAULT NULL';
const PROVED = 'level smallint DEFAULT NULL, methods text[] DEFAULT NULL';
const KEEP_CHOICE = `
        is_remembered := replaced.remembered;
        IF is_remembered THEN
          ttl := coalesce(remembered_ttl, ttl);
        END IF;`;
const KEEP_PROOF = `
        level := replaced.aal;
        methods := replaced.amr;`;

/** The key of the advisory lock for one user's sessions. */
export const lockOf = (owner: string) =>
  `pg_catalog.hashtextextended('nestjs-latchkey:sessions:' || ${owner}::text, 0::bigint)`;
/** Held until the transaction ends, by everything that opens or ends sessions of the user. */
export const LOCK_USER = `PERFORM pg_catalog.pg_advisory_xact_lock(${lockOf('owner')})`;

/**
 * Holds up a password change or disabling until this session is there to be deleted, and waits for one in progress;
 * with `busy`, runs that instead of waiting. A login whose account has changed since its password was read opens
 * nothing. Otherwise it is valid, however far ahead the clock of the process that moved the cutoff was.
 */
const lockAccount = ({ users, ownUsers }: SessionFunctions, refuse: string, busy?: string) =>
  ownUsers
    ? `
    IF checks_cutoff THEN
      DECLARE
        account ${users};
      BEGIN
        SELECT * INTO account FROM ${users} WHERE id = owner FOR SHARE${
          busy === undefined
            ? ';'
            : ` SKIP LOCKED;
        IF NOT FOUND THEN
          ${busy};
        END IF;`
        }
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
 * changed nothing, if the account has changed since, something may have to end, or the user's lock or row is taken:
 * `latchkey_open_session` decides that.
 *
 * So it waits for nobody, except for a program that deletes the user's row without the user's lock, and needs no
 * `lock_timeout`, which costs a twentieth of it. The insert is a later statement than the lock, and so has a snapshot
 * younger than that.
 */
export const addSession = (f: SessionFunctions) => `
  CREATE OR REPLACE FUNCTION ${f.named('add_session')}(
    new_id text, of_user text, instant timestamptz, ttl interval, lifetime interval, authenticated timestamptz,
    from_ip text, agent text, max_sessions integer, checks_cutoff boolean, cutoff timestamptz${choice(f, CHOSEN)}${assurance(f, PROVED)}
  ) RETURNS text ${f.pathWithoutWaiting} AS $$
  DECLARE
    owner ${f.userId} := of_user;
    family uuid := pg_catalog.gen_random_uuid();
    ends_at timestamptz := authenticated + lifetime;
  BEGIN
    IF NOT pg_catalog.pg_try_advisory_xact_lock(${lockOf('owner')}) THEN
      RETURN NULL;
    END IF;${lockAccount(f, 'RETURN NULL', 'RETURN NULL')}
    INSERT INTO ${f.sessions} (id, user_id, created_at, expires_at, handle, last_seen_at, authenticated_at,
        absolute_expires_at, ip, user_agent${choice(f, 'remembered')}${assurance(f, 'aal, amr')})
      SELECT new_id, owner, instant, least(instant + ttl, ends_at), family, instant, authenticated, ends_at,
        from_ip, agent${choice(f, 'is_remembered')}${assurance(f, 'level, methods')}
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
 * the cap. A mere rotation also carries these columns of later migrations to the new session, and so does an elevation:
 * a rotation with a new proof, whose lifetimes start anew.
 *
 * With `timesRotations` (since the migration TimeRotations) and no `rotation`, the database's clock says when a session
 * was rotated: another process, whose clock may differ, decides whether its token still comes in time. Not `now()`,
 * since the transaction may have begun long ago.
 */
export const openSession = (
  f: SessionFunctions,
  { carries = [], timesRotations = false }: { carries?: readonly string[]; timesRotations?: boolean } = {},
) => `
  CREATE OR REPLACE FUNCTION ${f.named('open_session')}(
    new_id text, of_user text, instant timestamptz, ttl interval, lifetime interval, authenticated timestamptz,
    from_ip text, agent text, replaced_id text, max_sessions integer, checks_cutoff boolean, cutoff timestamptz,
    sealed_successor text${choice(f, `${CHOSEN}, remembered_ttl interval DEFAULT NULL`)}${timesRotations ? ', rotation timestamptz DEFAULT NULL' : ''}${assurance(f, `${PROVED}, elevates boolean DEFAULT false`)}
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
    IF authenticated IS NULL${f.assures ? ' OR elevates' : ''} THEN
      UPDATE ${f.sessions} s SET rotated_at = ${timesRotations ? 'coalesce(rotation, pg_catalog.clock_timestamp())' : 'instant'}, successor = sealed_successor, expires_at = least(s.expires_at, instant),
          absolute_expires_at = coalesce(s.absolute_expires_at, s.created_at + lifetime)
        WHERE s.id = replaced_id AND s.user_id = owner AND s.rotated_at IS NULL AND s.expires_at > instant
          AND coalesce(s.absolute_expires_at, s.created_at + lifetime) > instant
        RETURNING * INTO replaced;
      IF NOT FOUND THEN
        RETURN;
      END IF;
      family := replaced.handle;
      IF authenticated IS NULL THEN
        authenticated := coalesce(replaced.authenticated_at, replaced.created_at);
        ends_at := replaced.absolute_expires_at;${f.remembers ? KEEP_CHOICE : ''}${f.assures ? KEEP_PROOF : ''}
      END IF;
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
        absolute_expires_at, ip, user_agent${choice(f, 'remembered')}${assurance(f, 'aal, amr')}${carries.map((column) => `, ${column}`).join('')})
      VALUES (new_id, owner, instant, least(instant + ttl, ends_at), family, instant, authenticated, ends_at,
        from_ip, agent${choice(f, 'is_remembered')}${assurance(f, 'level, methods')}${carries.map((column) => `, replaced.${column}`).join('')})
      RETURNING *;
  END $$`;
