import { epochSeconds, instant, interval, selectInstants } from '../../postgres/epoch-seconds.js';
import type { Statement } from '../../postgres/statement.js';
import { MAX_SESSION_DATA } from '../../session/session-data.js';
import type { SchemaNames } from '../../schema/schema-names.js';
import { userColumns, type UserFields } from './user-columns.js';

/**
 * An exception to "SQL takes `now` as a parameter" (docs/architecture.md, rule 1): one clock decides for all processes.
 * Not `now()`, which stands still inside a transaction: `clock_timestamp()` is what `open` has written.
 */
const ROTATED_FOR = 'pg_catalog.clock_timestamp() - s.rotated_at';
/** In one column, since the driver spends time on each: see `sessionOf`. */
const ASSURANCE = `coalesce(s.aal, 1)::text || ' '::text || coalesce(pg_catalog.array_to_string(s.amr, ' '::text), ''::text)`;
const SESSION = `s.id, s.handle, s.user_id::text AS user_id, s.ip, s.user_agent, s.successor, s.remembered, s.data,
  ${selectInstants('s.created_at', 's.expires_at', 's.absolute_expires_at', 's.authenticated_at', 's.last_seen_at', 's.rotated_at', ROTATED_FOR)} || ${ASSURANCE} AS facts`;
const DATA_NOW = "(coalesce(s.data, '{}'::jsonb) || $3::jsonb) - $4::text[]";
const MOST_RECENT_FIRST = 'ORDER BY coalesce(s.last_seen_at, s.created_at) DESC, s.id';

export type SessionStatements = ReturnType<typeof sessionStatements>;

export function sessionStatements(names: SchemaNames, fields: UserFields = {}) {
  const user = userColumns(fields);
  const statement = (name: string, text: string): Statement => ({ name: `latchkey_session_${name}`, text });
  const ours = (name: string) => names.qualified(`latchkey_${name}`);
  const { sessions, users } = names;
  return {
    find: statement('find', `SELECT ${SESSION} FROM ${sessions} s WHERE s.id = $1`),
    findWithUser: statement(
      'find_with_user',
      `SELECT ${SESSION}, ${user} FROM ${sessions} s JOIN ${users} u ON u.id = s.user_id WHERE s.id = $1`,
    ),
    /**
     * Opens a session if no other has to end for it and no lock is taken; otherwise returns null, and `open` decides.
     * Returns a value instead of a row: the caller already has the rest.
     */
    add: statement(
      'add',
      `SELECT ${ours('add_session')}($1::text, $2::text, ${instant('$3')}, ${interval('$4')}, ${interval('$5')},
        ${instant('$6')}, $7::text, $8::text, $9::integer, $10::boolean, ${instant('$11')}, $12::boolean,
        $13::smallint, $14::text[]) AS added`,
    ),
    /**
     * Opens a session that may end others. This is the statement that rotates a session, and that applies the cap. The
     * SQL function `latchkey_open_session` is in `src/schema/migrations/session-functions.ts`; it takes the user's
     * advisory lock before it counts.
     */
    open: statement(
      'open',
      `SELECT ${SESSION} FROM ${ours('open_session')}($1::text, $2::text, ${instant('$3')}, ${interval('$4')},
        ${interval('$5')}, ${instant('$6')}, $7::text, $8::text, $9::text, $10::integer, $11::boolean, ${instant('$12')},
        $13::text, $14::boolean, ${interval('$15')}, ${instant('$16')},
        $17::smallint, $18::text[], $19::boolean) s`,
    ),
    /** `expires_at < now + extendBelow` also keeps the second of two concurrent callers from writing again. */
    extend: statement(
      'extend',
      `UPDATE ${sessions} s SET last_seen_at = ${instant('$2')},
          expires_at = least(${instant('$3')}, coalesce(s.absolute_expires_at, s.created_at + ${interval('$5')}))
        WHERE s.id = $1 AND s.rotated_at IS NULL
          AND s.expires_at > ${instant('$2')} AND s.expires_at < ${instant('$2')} + ${interval('$4')}
          AND coalesce(s.absolute_expires_at, s.created_at + ${interval('$5')}) > ${instant('$2')}
        RETURNING ${epochSeconds('s.expires_at')} AS expires_at`,
    ),
    /** A change that the column could not hold is a condition and not an error, which would end the transaction around it. */
    updateData: statement(
      'update_data',
      `UPDATE ${sessions} s SET data = ${DATA_NOW}
        WHERE s.id = $1 AND s.rotated_at IS NULL AND s.expires_at > ${instant('$2')}
          AND coalesce(s.absolute_expires_at, s.created_at + ${interval('$5')}) > ${instant('$2')}
          AND pg_catalog.octet_length((${DATA_NOW})::text) <= ${MAX_SESSION_DATA}
        RETURNING s.data`,
    ),
    /**
     * The functions that end sessions take the same lock as those that open them, so that no successor escapes them.
     */
    delete: statement('delete', `SELECT users, handles FROM ${ours('close_families')}($1::text[])`),
    deleteReused: statement('delete_reused', `SELECT presented FROM ${ours('close_families')}(ARRAY[$1::text])`),
    deleteByHandle: statement('delete_by_handle', `SELECT ${ours('close_family')}($1::text, $2::uuid) AS ended`),
    deleteByUser: statement('delete_by_user', `SELECT ${ours('close_sessions')}($1::text, $2::text) AS ended`),
    owners: statement('owners', `SELECT DISTINCT user_id::text AS user_id FROM ${sessions} WHERE id = ANY($1)`),
    list: statement(
      'list',
      `SELECT ${SESSION} FROM ${sessions} s WHERE s.user_id = $1 AND s.rotated_at IS NULL ${MOST_RECENT_FIRST}`,
    ),
    listWithUser: statement(
      'list_with_user',
      `SELECT ${SESSION}, ${user} FROM ${sessions} s JOIN ${users} u ON u.id = s.user_id
        WHERE s.user_id = $1 AND s.rotated_at IS NULL ${MOST_RECENT_FIRST}`,
    ),
    /** The time since the rotation is in `$3` if the database's clock is to measure it. */
    deleteSuccessors: statement(
      'delete_successors',
      `WITH due AS MATERIALIZED (
          SELECT ctid AS place FROM ${sessions} WHERE successor IS NOT NULL
              AND rotated_at <= coalesce(${instant('$1')}, pg_catalog.statement_timestamp() - ${interval('$3')})
            ORDER BY rotated_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        UPDATE ${sessions} SET successor = NULL WHERE ctid = ANY (ARRAY(SELECT place FROM due))`,
    ),
    deleteExpired: deleteDue(sessions, 'expired', 'rotated_at IS NULL', 'expires_at'),
    deleteRotated: deleteDue(sessions, 'rotated', 'rotated_at IS NOT NULL', 'absolute_expires_at'),
  };
}

/**
 * Skips rows in use, so that it neither waits nor deadlocks. Each batch starts at the end of the previous one, since
 * deleted rows would otherwise be scanned again for as long as an old snapshot needs them.
 */
const deleteDue = (sessions: string, name: string, rows: string, over: string): Statement => ({
  name: `latchkey_session_delete_${name}`,
  text: `WITH due AS MATERIALIZED (
      SELECT ctid AS place, ${over} AS over FROM ${sessions} WHERE ${rows} AND ${over} BETWEEN $3 AND ${instant('$1')}
        ORDER BY ${over} LIMIT $2 FOR UPDATE SKIP LOCKED),
      gone AS (DELETE FROM ${sessions} WHERE ctid = ANY (ARRAY(SELECT place FROM due)))
    SELECT pg_catalog.count(*)::integer AS deleted, pg_catalog.max(over)::text AS last FROM due`,
});
