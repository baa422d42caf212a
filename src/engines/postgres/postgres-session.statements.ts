import { selectInstants } from '../../postgres/epoch-seconds.js';
import type { Statement } from '../../postgres/statement.js';

const SESSION = `s.id, s.handle, s.user_id::text AS user_id, s.ip, s.user_agent, s.successor,
  ${selectInstants('s.created_at', 's.expires_at', 's.absolute_expires_at', 's.authenticated_at', 's.last_seen_at', 's.rotated_at')} AS instants`;
const USER = `u.email::text AS email, ${selectInstants('u.disabled_at', 'u.tokens_invalidated_after')} AS user_instants`;
const MOST_RECENT_FIRST = 'ORDER BY coalesce(s.last_seen_at, s.created_at) DESC, s.id';

export const FIND: Statement = {
  name: 'latchkey_session_find',
  text: `SELECT ${SESSION} FROM sessions s WHERE s.id = $1`,
};
export const FIND_WITH_USER: Statement = {
  name: 'latchkey_session_find_with_user',
  text: `SELECT ${SESSION}, ${USER} FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1`,
};
/**
 * Opens a session for which nothing has to end; else it answers null, and `OPEN` decides. A value and no row: what the
 * session is made of, the caller has given.
 */
export const ADD: Statement = {
  name: 'latchkey_session_add',
  text: `SELECT latchkey_add_session($1, $2, to_timestamp($3), make_interval(secs => $4), make_interval(secs => $5),
    to_timestamp($6), $7, $8, $9, $10, to_timestamp($11)) AS added`,
};
/** The function takes the user's advisory lock before it counts: see the migration. */
export const OPEN: Statement = {
  name: 'latchkey_session_open',
  text: `SELECT ${SESSION} FROM latchkey_open_session(
    $1, $2, to_timestamp($3), make_interval(secs => $4), make_interval(secs => $5), to_timestamp($6), $7, $8, $9, $10, $11, to_timestamp($12), $13) s`,
};
/** `expires_at < now + extendBelow` also keeps the second of two concurrent callers from writing again. */
export const EXTEND: Statement = {
  name: 'latchkey_session_extend',
  text: `UPDATE sessions s SET last_seen_at = to_timestamp($2),
      expires_at = least(to_timestamp($3), coalesce(s.absolute_expires_at, s.created_at + make_interval(secs => $5)))
    WHERE s.id = $1 AND s.rotated_at IS NULL
      AND s.expires_at > to_timestamp($2) AND s.expires_at < to_timestamp($2) + make_interval(secs => $4)
      AND coalesce(s.absolute_expires_at, s.created_at + make_interval(secs => $5)) > to_timestamp($2)
    RETURNING date_part('epoch', s.expires_at) AS expires_at`,
};
/** These functions take the same lock as `latchkey_open_session`, so that no successor escapes them. */
export const DELETE: Statement = {
  name: 'latchkey_session_delete',
  text: 'SELECT users, handles FROM latchkey_close_families($1)',
};
export const DELETE_REUSED: Statement = {
  name: 'latchkey_session_delete_reused',
  text: 'SELECT presented FROM latchkey_close_families(ARRAY[$1])',
};
export const DELETE_BY_HANDLE: Statement = {
  name: 'latchkey_session_delete_by_handle',
  text: 'SELECT latchkey_close_family($1, $2) AS ended',
};
export const DELETE_BY_USER: Statement = {
  name: 'latchkey_session_delete_by_user',
  text: 'SELECT latchkey_close_sessions($1, $2) AS ended',
};
export const OWNERS: Statement = {
  name: 'latchkey_session_owners',
  text: 'SELECT DISTINCT user_id::text AS user_id FROM sessions WHERE id = ANY($1)',
};
export const LIST: Statement = {
  name: 'latchkey_session_list',
  text: `SELECT ${SESSION} FROM sessions s WHERE s.user_id = $1 AND s.rotated_at IS NULL ${MOST_RECENT_FIRST}`,
};
export const LIST_WITH_USER: Statement = {
  name: 'latchkey_session_list_with_user',
  text: `SELECT ${SESSION}, ${USER} FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.user_id = $1 AND s.rotated_at IS NULL ${MOST_RECENT_FIRST}`,
};
