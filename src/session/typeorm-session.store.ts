import { Injectable, type OnModuleInit } from '@nestjs/common';
import { asAuthError, AuthError, isAuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { fromEpochSeconds, toEpochSeconds } from '../database/epoch-seconds.js';
import { PreparedStatements } from '../database/prepared-statement.js';
import type { Statement, StatementResult } from '../database/statement.js';
import { sqlState } from '../database/store-error.js';
import { TypeOrmUserDirectory, userOf } from '../user/typeorm-user.directory.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import type { AuthenticatedSession, EndedSession, Session, StoredSession } from './session.js';
import { SessionStore, type Extension, type NewSession } from './session.store.js';

const INVALID_TEXT_REPRESENTATION = '22P02';
const NUMERIC_VALUE_OUT_OF_RANGE = '22003';
const FOREIGN_KEY_VIOLATION = '23503';
const NO_SUCH_USER = new Set([INVALID_TEXT_REPRESENTATION, NUMERIC_VALUE_OUT_OF_RANGE, FOREIGN_KEY_VIOLATION]);

const SESSION = `s.id, s.handle, s.user_id::text AS user_id, s.ip, s.user_agent,
  date_part('epoch', s.created_at) AS created_at, date_part('epoch', s.expires_at) AS expires_at,
  date_part('epoch', s.absolute_expires_at) AS absolute_expires_at,
  date_part('epoch', s.authenticated_at) AS authenticated_at, date_part('epoch', s.last_seen_at) AS last_seen_at`;
const ROTATION = `date_part('epoch', s.rotated_at) AS rotated_at, s.successor`;
const USER = `u.email::text AS email, date_part('epoch', u.disabled_at) AS disabled_at,
  date_part('epoch', u.tokens_invalidated_after) AS tokens_invalidated_after`;
const MOST_RECENT_FIRST = 'ORDER BY coalesce(s.last_seen_at, s.created_at) DESC, s.id';

const FIND: Statement = {
  name: 'latchkey_session_find',
  text: `SELECT ${SESSION}, ${ROTATION} FROM sessions s WHERE s.id = $1`,
};
/** @internal Exported for the tests and `bench/`. */
export const FIND_WITH_USER: Statement = {
  name: 'latchkey_session_find_with_user',
  text: `SELECT ${SESSION}, ${ROTATION}, ${USER} FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1`,
};
/** The function takes the user's advisory lock before it counts: see the migration. */
const OPEN: Statement = {
  name: 'latchkey_session_open',
  text: `SELECT ${SESSION}, ${ROTATION} FROM latchkey_open_session(
    $1, $2, to_timestamp($3), make_interval(secs => $4), make_interval(secs => $5), to_timestamp($6), $7, $8, $9, $10, $11, to_timestamp($12), $13) s`,
};
/** `expires_at < now + extendBelow` also keeps the second of two concurrent callers from writing again. */
const EXTEND: Statement = {
  name: 'latchkey_session_extend',
  text: `UPDATE sessions s SET last_seen_at = to_timestamp($2),
      expires_at = least(to_timestamp($3), coalesce(s.absolute_expires_at, s.created_at + make_interval(secs => $5)))
    WHERE s.id = $1 AND s.rotated_at IS NULL
      AND s.expires_at > to_timestamp($2) AND s.expires_at < to_timestamp($2) + make_interval(secs => $4)
      AND coalesce(s.absolute_expires_at, s.created_at + make_interval(secs => $5)) > to_timestamp($2)
    RETURNING date_part('epoch', s.expires_at) AS expires_at`,
};
/** These functions take the same lock as `latchkey_open_session`, so that no successor escapes them. */
const DELETE: Statement = {
  name: 'latchkey_session_delete',
  text: 'SELECT ended, users, handles FROM latchkey_close_families($1)',
};
const DELETE_REUSED: Statement = {
  name: 'latchkey_session_delete_reused',
  text: 'SELECT presented FROM latchkey_close_families(ARRAY[$1])',
};
const DELETE_BY_HANDLE: Statement = {
  name: 'latchkey_session_delete_by_handle',
  text: 'SELECT latchkey_close_family($1, $2) AS ended',
};
const DELETE_BY_USER: Statement = {
  name: 'latchkey_session_delete_by_user',
  text: 'SELECT latchkey_close_sessions($1, $2) AS ended',
};
const OWNERS: Statement = {
  name: 'latchkey_session_owners',
  text: 'SELECT DISTINCT user_id::text AS user_id FROM sessions WHERE id = ANY($1)',
};
/**
 * Skips what somebody is just using, so that it waits for nobody and nobody deadlocks with it. Each batch begins at the
 * end of the one before, since what that deleted would else be walked over again for as long as an old snapshot needs it.
 */
const deleteDue = (name: string, rows: string, over: string): Statement => ({
  name: `latchkey_session_delete_${name}`,
  text: `WITH due AS MATERIALIZED (
      SELECT ctid AS place, ${over} AS over FROM sessions WHERE ${rows} AND ${over} BETWEEN $3 AND to_timestamp($1)
        ORDER BY ${over} LIMIT $2 FOR UPDATE SKIP LOCKED),
      gone AS (DELETE FROM sessions WHERE ctid = ANY (ARRAY(SELECT place FROM due)))
    SELECT count(*)::integer AS deleted, max(over)::text AS last FROM due`,
});
const DELETE_EXPIRED = deleteDue('expired', 'rotated_at IS NULL', 'expires_at');
const DELETE_ROTATED = deleteDue('rotated', 'rotated_at IS NOT NULL', 'absolute_expires_at');
const START = '-infinity';
const CHECK: Statement = {
  name: '',
  text: `SELECT 'latchkey_open_session'::regproc, 'latchkey_close_sessions'::regproc, 'latchkey_close_families'::regproc,
    current_setting('transaction_isolation') AS isolation, current_schema() AS schema`,
};
const LIST: Statement = {
  name: 'latchkey_session_list',
  text: `SELECT ${SESSION} FROM sessions s WHERE s.user_id = $1 AND s.rotated_at IS NULL ${MOST_RECENT_FIRST}`,
};
const LIST_WITH_USER: Statement = {
  name: 'latchkey_session_list_with_user',
  text: `SELECT ${SESSION}, ${USER} FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.user_id = $1 AND s.rotated_at IS NULL ${MOST_RECENT_FIRST}`,
};

interface SessionRow {
  id: string;
  handle: string;
  user_id: string;
  ip: string | null;
  user_agent: string | null;
  created_at: number;
  expires_at: number;
  absolute_expires_at: number | null;
  authenticated_at: number | null;
  last_seen_at: number | null;
}

interface RotationRow {
  rotated_at: number | null;
  successor: string | null;
}

interface SessionWithUserRow extends SessionRow {
  email: string;
  disabled_at: number | null;
  tokens_invalidated_after: number | null;
}

/**
 * Sessions in the table `sessions`, every method one named prepared statement and one round trip. While users are in
 * our own table, a session and its user are read by one join on two primary keys; with a directory of the host's the
 * user is asked of it.
 */
@Injectable()
export class TypeOrmSessionStore extends SessionStore implements OnModuleInit {
  private readonly joinsUsers: boolean;
  private readonly absoluteLifetime: number;
  /** Up to which end of life the cleanup has come that is under way. */
  private swept = { now: Number.NaN, expired: START, rotated: START };

  constructor(
    private readonly statements: PreparedStatements,
    private readonly users: UserDirectory,
    config: AuthConfig,
  ) {
    super();
    // A directory that overrides findById knows more about a user than the table does.
    this.joinsUsers = users.findById === TypeOrmUserDirectory.prototype.findById;
    this.absoluteLifetime = config.session.absoluteLifetime;
  }

  /** Fails the boot where the schema is not there, instead of every request after it. */
  async onModuleInit(): Promise<void> {
    await this.find('');
    const { rows } = await this.statements.run<{ isolation: string; schema: string }>(CHECK, []);
    const { isolation, schema } = rows[0]!;
    const mistakes: string[] = [];
    if (isolation !== 'read committed') {
      mistakes.push(
        `The database's default_transaction_isolation is '${isolation}': set it to 'read committed' for this role. ` +
          'The locks of AuthModule are taken before a snapshot, which the other levels take first.',
      );
    }
    if (this.statements.schema !== undefined && this.statements.schema !== schema) {
      mistakes.push(
        `The DataSource's schema is '${this.statements.schema}', and its connections use '${schema}': give them the same ` +
          `with extra: { options: '-c search_path=${this.statements.schema}' }.`,
      );
    }
    if (mistakes.length > 0) throw new AuthError('INVALID_CONFIG', mistakes.join('\n'), { mistakes });
  }

  override async find(id: string): Promise<StoredSession | null> {
    if (this.joinsUsers) {
      const { rows } = await this.statements.run<SessionWithUserRow & RotationRow>(FIND_WITH_USER, [id]);
      return rows[0] ? { ...this.withUser(rows[0]), rotated: rotationOf(rows[0]) } : null;
    }
    const { rows } = await this.statements.run<SessionRow & RotationRow>(FIND, [id]);
    const user = rows[0] && (await this.userOf(rows[0].user_id));
    return rows[0] && user ? { session: this.toSession(rows[0]), user, rotated: rotationOf(rows[0]) } : null;
  }

  override async open(session: NewSession): Promise<Session | null> {
    const { rows } = await this.forUser<SessionRow & RotationRow>(OPEN, [
      session.id,
      session.userId,
      toEpochSeconds(session.now),
      session.ttl / 1000,
      session.absoluteLifetime / 1000,
      session.authenticatedAt === null ? null : toEpochSeconds(session.authenticatedAt),
      session.ip,
      session.userAgent,
      session.replaces,
      session.maxPerUser,
      session.cutoff !== undefined,
      session.cutoff === undefined || session.cutoff === null ? null : toEpochSeconds(session.cutoff),
      session.successor,
    ]);
    const opened = rows.pop();
    if (session.onEnded) this.tellEnded(rows, session);
    return opened ? this.toSession(opened) : null;
  }

  override async extend({ id, now, expiresAt, extendBelow }: Extension): Promise<number | null> {
    const { rows } = await this.statements.run<{ expires_at: number }>(EXTEND, [
      id,
      toEpochSeconds(now),
      toEpochSeconds(expiresAt),
      extendBelow / 1000,
      this.absoluteLifetime / 1000,
    ]);
    return rows[0] ? fromEpochSeconds(rows[0].expires_at) : null;
  }

  override async delete(ids: readonly string[], onEnded?: (ended: EndedSession) => void): Promise<number> {
    if (ids.length === 0) return 0;
    const { rows } = await this.statements.run<{ ended: number; users: string[]; handles: string[] }>(DELETE, [ids]);
    const { ended, users, handles } = rows[0]!;
    if (onEnded) users.forEach((userId, i) => onEnded({ userId, handle: handles[i]! }));
    return ended;
  }

  override async deleteReused(id: string): Promise<boolean> {
    const { rows } = await this.statements.run<{ presented: number }>(DELETE_REUSED, [id]);
    return rows[0]!.presented > 0;
  }

  override async deleteByHandle(userId: string, handle: string): Promise<boolean> {
    const { rows } = await this.ofUser<{ ended: number }>(DELETE_BY_HANDLE, [userId, handle]);
    return (rows[0]?.ended ?? 0) > 0;
  }

  override async deleteByUser(userId: string, exceptId?: string): Promise<number> {
    const { rows } = await this.ofUser<{ ended: number }>(DELETE_BY_USER, [userId, exceptId ?? null]);
    return rows[0]?.ended ?? 0;
  }

  override async ownersOf(ids: readonly string[]): Promise<readonly string[]> {
    const { rows } = await this.statements.run<{ user_id: string }>(OWNERS, [ids]);
    return rows.map(({ user_id }) => user_id);
  }

  override async listByUser(userId: string): Promise<AuthenticatedSession[]> {
    if (this.joinsUsers) {
      const { rows } = await this.ofUser<SessionWithUserRow>(LIST_WITH_USER, [userId]);
      return rows.map((row) => this.withUser(row));
    }
    const user = await this.userOf(userId);
    if (!user) return [];
    const { rows } = await this.ofUser<SessionRow>(LIST, [userId]);
    return rows.map((row) => ({ session: this.toSession(row), user }));
  }

  override async deleteExpired(now: number, limit: number): Promise<number> {
    if (this.swept.now !== now) this.swept = { now, expired: START, rotated: START };
    const expired = await this.deleteDue('expired', DELETE_EXPIRED, limit);
    return expired >= limit ? expired : expired + (await this.deleteDue('rotated', DELETE_ROTATED, limit - expired));
  }

  private async deleteDue(kind: 'expired' | 'rotated', statement: Statement, limit: number): Promise<number> {
    const values = [toEpochSeconds(this.swept.now), limit, this.swept[kind]];
    const { rows } = await this.statements.run<{ deleted: number; last: string | null }>(statement, values);
    const { deleted, last } = rows[0]!;
    this.swept[kind] = deleted < limit ? START : (last ?? START);
    return deleted;
  }

  /** The rows that ended with a new session: those of what it replaced share a handle, the others were over the cap. */
  private tellEnded(rows: readonly (SessionRow & RotationRow)[], { onEnded, now, replaces }: NewSession): void {
    const replaced = rows.find(({ id }) => id === replaces)?.handle;
    for (const row of rows) {
      const { userId, handle, expiresAt } = this.toSession(row);
      if (row.rotated_at !== null || expiresAt <= now) continue;
      onEnded?.({ userId, handle }, handle === replaced ? 'replaced_by_login' : 'cap');
    }
  }

  /** As `forUser`, for reading and deleting: an id that no user can have has no sessions. */
  private async ofUser<Row>(statement: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    try {
      return await this.forUser<Row>(statement, values);
    } catch (error) {
      if (isAuthError(error, 'USER_NOT_FOUND')) return { rows: [], rowCount: 0 };
      throw error;
    }
  }

  private async userOf(id: string): Promise<AuthUser | null> {
    try {
      return await this.users.findById(id);
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }

  private async forUser<Row>(statement: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    try {
      return await this.statements.run<Row>(statement, values);
    } catch (error) {
      if (!NO_SUCH_USER.has(sqlState(error) ?? '')) throw error;
      throw new AuthError(
        'USER_NOT_FOUND',
        'There is no user of this id: pass the id of an account that exists.',
        {},
        { cause: error },
      );
    }
  }

  private withUser(row: SessionWithUserRow): AuthenticatedSession {
    const user: AuthUser = userOf(row.user_id, row.email, row.disabled_at, row.tokens_invalidated_after);
    return { session: this.toSession(row), user };
  }

  private toSession(row: SessionRow): Session {
    const createdAt = fromEpochSeconds(row.created_at);
    const absoluteExpiresAt =
      row.absolute_expires_at === null ? createdAt + this.absoluteLifetime : fromEpochSeconds(row.absolute_expires_at);
    return {
      id: row.id,
      handle: row.handle,
      userId: row.user_id,
      createdAt,
      expiresAt: Math.min(fromEpochSeconds(row.expires_at), absoluteExpiresAt),
      absoluteExpiresAt,
      authenticatedAt: row.authenticated_at === null ? createdAt : fromEpochSeconds(row.authenticated_at),
      lastSeenAt: row.last_seen_at === null ? createdAt : fromEpochSeconds(row.last_seen_at),
      ip: row.ip,
      userAgent: row.user_agent,
    };
  }
}

function rotationOf({ rotated_at: at, successor }: RotationRow): StoredSession['rotated'] {
  return at === null ? null : { at: fromEpochSeconds(at), successor };
}
