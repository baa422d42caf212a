import { Injectable, type OnModuleInit } from '@nestjs/common';
import { AuthError } from '../../auth.errors.js';
import {
  JwtSessionStore,
  type JwtSession,
  type LiveAt,
  type NewJwtSession,
} from '../../jwt-session/jwt-session.store.js';
import { epochSeconds, fromEpochSeconds, instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { sqlState } from '../../postgres/store-error.js';
import { SchemaNames } from '../../schema/schema-names.js';
import type { AssuranceLevel } from '../../session/session.js';

/** A text that is no id of the column's type, a number out of its range, or an id that no user has. */
const NO_SUCH_USER = new Set(['22P02', '22003', '23503']);

const jwtSessionStatements = ({ jwtSessions, revokedTokens }: SchemaNames) => {
  const statement = (name: string, text: string): Statement => ({ name: `latchkey_jwt_session_${name}`, text });
  const select = `SELECT s.jti, s.handle, s.ip, s.user_agent, coalesce(s.aal, 1) AS aal, coalesce(s.amr, '{}'::text[]) AS amr,
      ${epochSeconds('s.issued_at')} AS issued_at, ${epochSeconds('s.expires_at')} AS expires_at
    FROM ${jwtSessions} s
    WHERE s.user_id = $1 AND s.expires_at > ${instant('$2')}
      AND s.issued_at > coalesce(${instant('$3')}, '-infinity')
      AND NOT EXISTS (SELECT 1 FROM ${revokedTokens} r WHERE r.jti = s.jti)`;
  return {
    check: statement('check', `SELECT FROM ${jwtSessions} LIMIT 0`),
    /** Before the statements that count, which then see what the transaction before has written. */
    lock: statement(
      'lock',
      `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('nestjs-latchkey:jwt-sessions:' || $1::text, 0::bigint))`,
    ),
    insert: statement(
      'insert',
      `INSERT INTO ${jwtSessions} (user_id, jti, handle, issued_at, expires_at, ip, user_agent, aal, amr)
        VALUES ($1, $2, $3::uuid, ${instant('$4')}, ${instant('$5')}, $6, $7, $8, $9)`,
    ),
    /** What has ended: otherwise the next login would go through all that the user ever had. */
    prune: statement(
      'prune',
      `DELETE FROM ${jwtSessions} s WHERE s.user_id = $1 AND (s.expires_at <= ${instant('$2')}
        OR s.issued_at <= ${instant('$3')} OR EXISTS (SELECT 1 FROM ${revokedTokens} r WHERE r.jti = s.jti))`,
    ),
    listSurplus: statement(
      'list_surplus',
      `${select} AND s.jti <> ALL ($4::text[]) ORDER BY s.issued_at DESC, s.jti OFFSET $5::bigint`,
    ),
    list: statement('list', `${select} ORDER BY s.issued_at DESC, s.jti`),
    find: statement('find', `${select} AND s.handle = $4::uuid`),
    /** Skips rows that are being written, so that it never waits. */
    deleteExpired: statement(
      'delete_expired',
      `DELETE FROM ${jwtSessions} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM ${jwtSessions} WHERE expires_at <= ${instant('$1')} ORDER BY expires_at LIMIT $2
          FOR UPDATE SKIP LOCKED))`,
    ),
  };
};

interface Row {
  jti: string;
  handle: string;
  ip: string | null;
  user_agent: string | null;
  aal: AssuranceLevel;
  amr: string[];
  issued_at: number;
  expires_at: number;
}

/** The table `auth_jwt_sessions`. */
@Injectable()
export class PostgresJwtSessionStore extends JwtSessionStore implements OnModuleInit {
  private readonly sql;

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
  ) {
    super();
    this.sql = jwtSessionStatements(names);
  }

  /** Fails the boot if the table is missing. */
  async onModuleInit(): Promise<void> {
    await this.statements.run(this.sql.check, []);
  }

  override async add(
    session: NewJwtSession,
    { max, replaced, ...at }: LiveAt & { max: number; replaced: string | null },
  ): Promise<JwtSession[]> {
    const { userId, jti, handle, issuedAt, expiresAt, ip, userAgent, aal, amr } = session;
    try {
      return await this.statements.transaction(async () => {
        await this.statements.run(this.sql.lock, [userId]);
        const cutoff = at.cutoff === null ? null : toEpochSeconds(at.cutoff);
        await this.statements.run(this.sql.prune, [userId, toEpochSeconds(at.now), cutoff]);
        const times = [toEpochSeconds(issuedAt), toEpochSeconds(expiresAt)];
        await this.statements.run(this.sql.insert, [userId, jti, handle, ...times, ip, userAgent, aal, amr]);
        const spared = replaced === null ? [jti] : [jti, replaced];
        return this.select(this.sql.listSurplus, userId, at, [spared, max - 1]);
      });
    } catch (error) {
      if (!NO_SUCH_USER.has(sqlState(error) ?? '')) throw error;
      const message = 'There is no user with this id: pass the id of an existing account.';
      throw new AuthError('USER_NOT_FOUND', message, {}, { cause: error });
    }
  }

  override async listByUser(userId: string, at: LiveAt): Promise<JwtSession[]> {
    return this.ofUser(this.sql.list, userId, at);
  }

  override async findByHandle(userId: string, handle: string, at: LiveAt): Promise<JwtSession | null> {
    return (await this.ofUser(this.sql.find, userId, at, [handle]))[0] ?? null;
  }

  override async deleteExpired(now: number, limit: number): Promise<number> {
    return (await this.statements.run(this.sql.deleteExpired, [toEpochSeconds(now), limit])).rowCount;
  }

  /** An id that no user can have has no sessions. */
  private async ofUser(statement: Statement, userId: string, at: LiveAt, more: unknown[] = []): Promise<JwtSession[]> {
    try {
      return await this.select(statement, userId, at, more);
    } catch (error) {
      if (NO_SUCH_USER.has(sqlState(error) ?? '')) return [];
      throw error;
    }
  }

  private async select(
    statement: Statement,
    userId: string,
    { now, cutoff }: LiveAt,
    more: unknown[],
  ): Promise<JwtSession[]> {
    const values = [userId, toEpochSeconds(now), cutoff === null ? null : toEpochSeconds(cutoff), ...more];
    const { rows } = await this.statements.run<Row>(statement, values);
    return rows.map(({ issued_at, expires_at, user_agent, ...row }) => ({
      ...row,
      userAgent: user_agent,
      issuedAt: fromEpochSeconds(issued_at),
      expiresAt: fromEpochSeconds(expires_at),
    }));
  }
}
