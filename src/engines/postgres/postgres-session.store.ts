import { Injectable, type OnModuleInit } from '@nestjs/common';
import { asAuthError, AuthError, isAuthError } from '../../auth.errors.js';
import { Clock } from '../../common/clock.js';
import { AuthConfig } from '../../config/auth-config.js';
import { fromEpochSeconds, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement, StatementResult } from '../../postgres/statement.js';
import { sqlState, sqlStateOrCause } from '../../postgres/store-error.js';
import { UserDirectory, type AuthUser } from '../../user/user.directory.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { checkSchema } from './check-schema.js';
import { checkUserIds, idsDoNotFit, userIdType } from './check-user-ids.js';
import { ExpiredSessions } from './expired-sessions.js';
import { evictedBy, type RemovedSession } from '../../session/evicted-sessions.js';
import { ReadOnlyWarning } from '../../session/read-only-warning.js';
import type { StoredSessionData } from '../../session/session-data.js';
import type { AuthenticatedSession, EndedSession, StoredSession } from '../../session/session.js';
import { addedSession, sessionOf, type SessionRow, type SessionWithUserRow } from './postgres-session.row.js';
import { sessionStatements, type SessionStatements } from './postgres-session.statements.js';
import { fieldsOf } from './postgres-user.directory.js';
import { userOfColumns } from './user-columns.js';
import {
  SessionStore,
  type DataUpdate,
  type Extension,
  type NewSession,
  type OpenedSession,
} from '../../session/session.store.js';

const INVALID_TEXT_REPRESENTATION = '22P02';
const NUMERIC_VALUE_OUT_OF_RANGE = '22003';
const FOREIGN_KEY_VIOLATION = '23503';
const READ_ONLY_TRANSACTION = '25006';
/** PostgreSQL's text has no NUL character. */
const CHARACTER_NOT_IN_REPERTOIRE = '22021';
const NO_SUCH_USER = new Set([
  INVALID_TEXT_REPRESENTATION,
  NUMERIC_VALUE_OUT_OF_RANGE,
  FOREIGN_KEY_VIOLATION,
  CHARACTER_NOT_IN_REPERTOIRE,
]);

/** The queue of statements whose user is not known before they run. */
const ANY_USER = 'any user';

/**
 * Sessions in the table `sessions`, every method but `deleteExpired` one named prepared statement and one round trip. A login may take two,
 * if its user has `maxPerUser` rows, live or not, its account has changed, or something else has the user's lock. While
 * users are in our own table, a session and its user are read by one join on two primary keys; otherwise the
 * `UserDirectory` is asked for the user.
 */
@Injectable()
export class PostgresSessionStore extends SessionStore implements OnModuleInit {
  private readonly joinsUsers: boolean;
  private readonly absoluteLifetime: number;
  private readonly sql: SessionStatements;
  /** Whether the last attempt to extend a session found the database read-only. */
  private readonly readOnly = new ReadOnlyWarning('The database');
  private readonly expired: ExpiredSessions;

  constructor(
    private readonly statements: PreparedStatements,
    private readonly users: UserDirectory,
    config: AuthConfig,
    private readonly names: SchemaNames,
    private readonly clock: Clock,
  ) {
    super();
    this.sql = sessionStatements(names, fieldsOf(users));
    this.joinsUsers = users.isJoinable;
    this.absoluteLifetime = config.session.absoluteLifetime;
    this.expired = new ExpiredSessions(statements, this.sql);
  }

  /** Fails the boot if the schema is missing or cannot hold the user ids, instead of failing every request after it. */
  async onModuleInit(): Promise<void> {
    await this.find('');
    await checkSchema(this.statements, this.names);
    if (!this.joinsUsers) await checkUserIds(this.statements, this.names, this.users);
  }

  override async find(id: string): Promise<StoredSession | null> {
    if (this.joinsUsers) {
      const { rows } = await this.statements.run<SessionWithUserRow>(this.sql.findWithUser, [id]);
      if (!rows[0]) return null;
      const { session, rotated } = this.toSession(rows[0]);
      return { session, user: userOfColumns(rows[0].user_id, rows[0]), rotated };
    }
    const { rows } = await this.statements.run<SessionRow>(this.sql.find, [id]);
    const user = rows[0] && (await this.userOf(rows[0].user_id));
    return rows[0] && user ? { ...this.toSession(rows[0]), user } : null;
  }

  override async open(session: NewSession): Promise<OpenedSession | null> {
    try {
      return (await this.openWithoutLock(session)) ?? (await this.openReplacing(session));
    } catch (error) {
      if (!this.joinsUsers && isAuthError(error, 'USER_NOT_FOUND') && (await this.isKnown(session.userId))) {
        throw idsDoNotFit(this.names, await userIdType(this.statements, this.names));
      }
      throw error;
    }
  }

  /**
   * The statement for most logins. Returns `null`, with nothing changed, if another session may have to end for this
   * one, or it would have to wait.
   */
  private async openWithoutLock(session: NewSession): Promise<OpenedSession | null> {
    const { authenticatedAt, replaces, cutoff } = session;
    if (authenticatedAt === null || replaces !== null) return null;
    const { rows } = await this.forUser<{ added: string | null }>(session.userId, this.sql.add, [
      session.id,
      session.userId,
      toEpochSeconds(session.now),
      session.ttl / 1000,
      session.absoluteLifetime / 1000,
      toEpochSeconds(authenticatedAt),
      session.ip,
      session.userAgent,
      session.maxPerUser,
      ...cutoffArguments(cutoff),
      session.remembered ?? null,
      ...assuranceArguments(session),
    ]);
    const { added } = rows[0]!;
    return added === null ? null : { session: addedSession(added, session, authenticatedAt), ended: [] };
  }

  private async openReplacing(session: NewSession): Promise<OpenedSession | null> {
    const { rows } = await this.forUser<SessionRow>(session.userId, this.sql.open, [
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
      ...cutoffArguments(session.cutoff),
      session.successor,
      session.remembered ?? null,
      (session.rememberedTtl ?? session.ttl) / 1000,
      this.clock.isWallClock ? null : toEpochSeconds(session.now),
      ...assuranceArguments(session),
      session.elevates === true,
    ]);
    const opened = rows.pop();
    if (!opened) return null;
    return {
      session: this.toSession(opened).session,
      ended: evictedBy(
        session,
        rows.map((row) => this.toRemoved(row)),
      ),
    };
  }

  override async extend({ id, now, expiresAt, extendBelow }: Extension): Promise<number | null> {
    const values = [
      id,
      toEpochSeconds(now),
      toEpochSeconds(expiresAt),
      extendBelow / 1000,
      this.absoluteLifetime / 1000,
    ];
    let rows: { expires_at: number }[];
    try {
      ({ rows } = await this.statements.run<{ expires_at: number }>(this.sql.extend, values));
      this.readOnly.wrote();
    } catch (error) {
      if (sqlStateOrCause(error) !== READ_ONLY_TRANSACTION) throw error;
      this.readOnly.refused();
      return null;
    }
    return rows[0] ? fromEpochSeconds(rows[0].expires_at) : null;
  }

  override async updateData({ id, now, change }: DataUpdate): Promise<StoredSessionData | null> {
    const set = [...change.set].map(([field, json]) => `${JSON.stringify(field)}:${json}`).join(',');
    const values = [id, toEpochSeconds(now), `{${set}}`, change.deleted, this.absoluteLifetime / 1000];
    const { rows } = await this.statements.run<{ data: StoredSessionData }>(this.sql.updateData, values);
    return rows[0]?.data ?? null;
  }

  override async delete(ids: readonly string[]): Promise<EndedSession[]> {
    if (ids.length === 0) return [];
    const { rows } = await this.statements.runLocking<{ users: string[]; handles: string[] }>(
      ANY_USER,
      this.sql.delete,
      [ids],
    );
    const { users, handles } = rows[0]!;
    return users.map((userId, i) => ({ userId, handle: handles[i]! }));
  }

  override async deleteReused(id: string): Promise<boolean> {
    const { rows } = await this.statements.runLocking<{ presented: number }>(ANY_USER, this.sql.deleteReused, [id]);
    return rows[0]!.presented > 0;
  }

  override async deleteByHandle(userId: string, handle: string): Promise<boolean> {
    const { rows } = await this.ofUser<{ ended: number }>(userId, this.sql.deleteByHandle, [userId, handle]);
    return (rows[0]?.ended ?? 0) > 0;
  }

  override async deleteByUser(userId: string, exceptId?: string): Promise<number> {
    const { rows } = await this.ofUser<{ ended: number }>(userId, this.sql.deleteByUser, [userId, exceptId ?? null]);
    return rows[0]?.ended ?? 0;
  }

  override async ownersOf(ids: readonly string[]): Promise<readonly string[]> {
    const { rows } = await this.statements.run<{ user_id: string }>(this.sql.owners, [ids]);
    return rows.map(({ user_id }) => user_id);
  }

  override async listByUser(userId: string): Promise<AuthenticatedSession[]> {
    if (this.joinsUsers) {
      const { rows } = await this.ofUser<SessionWithUserRow>(userId, this.sql.listWithUser, [userId]);
      return rows.map((row) => ({ session: this.toSession(row).session, user: userOfColumns(row.user_id, row) }));
    }
    const user = await this.userOf(userId);
    if (!user) return [];
    const { rows } = await this.ofUser<SessionRow>(userId, this.sql.list, [userId]);
    return rows.map((row) => ({ session: this.toSession(row).session, user }));
  }

  override async deleteSuccessors(rotatedAt: number, limit: number): Promise<number> {
    const values = this.clock.isWallClock
      ? [null, limit, (this.clock.now() - rotatedAt) / 1000]
      : [toEpochSeconds(rotatedAt), limit, null];
    return (await this.statements.run(this.sql.deleteSuccessors, values)).rowCount;
  }

  override deleteExpired(now: number, limit: number): Promise<number> {
    return this.expired.delete(now, limit);
  }

  /** As `forUser`, for reading and deleting: an id that no user can have has no sessions. */
  private async ofUser<Row>(userId: string, statement: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    try {
      return await this.forUser<Row>(userId, statement, values);
    } catch (error) {
      if (isAuthError(error, 'USER_NOT_FOUND')) return { rows: [], rowCount: 0 };
      throw error;
    }
  }

  /** Whether the application's directory has the account that the table refused. */
  private async isKnown(id: string): Promise<boolean> {
    return (await this.users.findById(id).catch(() => null)) !== null;
  }

  private async userOf(id: string): Promise<AuthUser | null> {
    try {
      return await this.users.findById(id);
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }

  private async forUser<Row>(userId: string, statement: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    try {
      return await this.statements.runLocking<Row>(`user ${userId}`, statement, values);
    } catch (error) {
      if (!NO_SUCH_USER.has(sqlState(error) ?? '')) throw error;
      throw new AuthError(
        'USER_NOT_FOUND',
        'There is no user with this id: pass the id of an existing account.',
        {},
        { cause: error },
      );
    }
  }

  private toSession(row: SessionRow): Omit<StoredSession, 'user'> {
    return sessionOf(row, this.absoluteLifetime, this.clock);
  }

  private toRemoved(row: SessionRow): RemovedSession {
    const { session, rotated } = this.toSession(row);
    return { ...session, isRotated: rotated !== null };
  }
}

function assuranceArguments({ aal, amr }: NewSession): [number | null, readonly string[] | null] {
  return [aal ?? null, amr ?? null];
}

/** Whether the account's cutoff is known, and its value. */
function cutoffArguments(cutoff: NewSession['cutoff']): [boolean, number | null] {
  return [cutoff !== undefined, cutoff === undefined || cutoff === null ? null : toEpochSeconds(cutoff)];
}
