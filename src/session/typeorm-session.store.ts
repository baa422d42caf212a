import { Injectable, type OnModuleInit } from '@nestjs/common';
import { asAuthError, AuthError, isAuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { fromEpochSeconds, toEpochSeconds } from '../database/epoch-seconds.js';
import { PreparedStatements } from '../database/prepared-statement.js';
import type { Statement, StatementResult } from '../database/statement.js';
import { sqlState } from '../database/store-error.js';
import { TypeOrmUserDirectory, userOf } from '../user/typeorm-user.directory.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { checkSchema } from './check-schema.js';
import { ExpiredSessions } from './expired-sessions.js';
import type { AuthenticatedSession, EndedSession, Session, StoredSession } from './session.js';
import { rotationOf, sessionOf, type RotationRow, type SessionRow, type SessionWithUserRow } from './session.row.js';
import {
  ADD,
  DELETE,
  DELETE_BY_HANDLE,
  DELETE_BY_USER,
  DELETE_REUSED,
  EXTEND,
  FIND,
  FIND_WITH_USER,
  LIST,
  LIST_WITH_USER,
  OPEN,
  OWNERS,
} from './session.statements.js';
import { SessionStore, type Extension, type NewSession } from './session.store.js';

const INVALID_TEXT_REPRESENTATION = '22P02';
const NUMERIC_VALUE_OUT_OF_RANGE = '22003';
const FOREIGN_KEY_VIOLATION = '23503';
const NO_SUCH_USER = new Set([INVALID_TEXT_REPRESENTATION, NUMERIC_VALUE_OUT_OF_RANGE, FOREIGN_KEY_VIOLATION]);

const HANDLE_LENGTH = 36;

/** An instant at PostgreSQL's microsecond. */
const asStored = (milliseconds: number): number => fromEpochSeconds(toEpochSeconds(milliseconds));
/** What is half a character is stored as U+FFFD. */
const wellFormed = (text: string | null): string | null => (text === null ? null : Buffer.from(text).toString());

/**
 * Sessions in the table `sessions`, every method one named prepared statement and one round trip (opening
 * at the cap: two). While users are in
 * our own table, a session and its user are read by one join on two primary keys; with a directory of the host's the
 * user is asked of it.
 */
@Injectable()
export class TypeOrmSessionStore extends SessionStore implements OnModuleInit {
  private readonly joinsUsers: boolean;
  private readonly absoluteLifetime: number;
  private readonly expired: ExpiredSessions;

  constructor(
    private readonly statements: PreparedStatements,
    private readonly users: UserDirectory,
    config: AuthConfig,
  ) {
    super();
    // A directory that overrides findById knows more about a user than the table does.
    this.joinsUsers = users.findById === TypeOrmUserDirectory.prototype.findById;
    this.absoluteLifetime = config.session.absoluteLifetime;
    this.expired = new ExpiredSessions(statements);
  }

  /** Fails the boot where the schema is not there, instead of every request after it. */
  async onModuleInit(): Promise<void> {
    await this.find('');
    await checkSchema(this.statements);
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
    const { authenticatedAt, replaces, cutoff } = session;
    // Most logins: they replace nothing, and their user has fewer sessions than may be.
    const added = authenticatedAt !== null && replaces === null && cutoff === undefined;
    return (added ? await this.add(session, authenticatedAt) : null) ?? this.decide(session);
  }

  /** `null`, and nothing has changed, where another session has to end for this one. */
  private async add(session: NewSession, authenticatedAt: number): Promise<Session | null> {
    const { id, userId, now, ttl, absoluteLifetime, ip, userAgent } = session;
    const { rows } = await this.forUser<{ added: string | null }>(ADD, [
      id,
      userId,
      toEpochSeconds(now),
      ttl / 1000,
      absoluteLifetime / 1000,
      toEpochSeconds(authenticatedAt),
      ip,
      userAgent,
      session.maxPerUser,
    ]);
    const { added } = rows[0]!;
    if (added === null) return null;
    const createdAt = asStored(now);
    const absoluteExpiresAt = asStored(authenticatedAt + absoluteLifetime);
    return {
      id,
      handle: added.slice(0, HANDLE_LENGTH),
      userId: added.slice(HANDLE_LENGTH),
      createdAt,
      expiresAt: Math.min(asStored(now + ttl), absoluteExpiresAt),
      absoluteExpiresAt,
      authenticatedAt: asStored(authenticatedAt),
      lastSeenAt: createdAt,
      ip: wellFormed(ip),
      userAgent: wellFormed(userAgent),
    };
  }

  private async decide(session: NewSession): Promise<Session | null> {
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

  override deleteExpired(now: number, limit: number): Promise<number> {
    return this.expired.delete(now, limit);
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
    return sessionOf(row, this.absoluteLifetime);
  }
}
