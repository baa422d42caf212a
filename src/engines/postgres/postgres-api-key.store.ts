import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { ApiKey, StoredApiKey } from '../../api-key/api-key.js';
import { ApiKeyStore, type LiveKeysAt, type NewApiKey } from '../../api-key/api-key.store.js';
import { asAuthError, AuthError } from '../../auth.errors.js';
import type { Duration } from '../../common/duration.js';
import { instant, interval, readInstants, selectInstants, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { sqlState, sqlStateOrCause } from '../../postgres/store-error.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { UserDirectory } from '../../user/user.directory.js';
import { fieldsOf } from './postgres-user.directory.js';
import { userColumns, userOfColumns, type UserColumns, type UserFields } from './user-columns.js';

/** A text that is no id of the column's type, a number out of its range, or an id that no user has. */
const NO_SUCH_USER = new Set(['22P02', '22003', '23503']);
const READ_ONLY_TRANSACTION = '25006';

const KEY = `k.id::text AS id, k.user_id::text AS user_id, k.name, k.prefix, k.scopes,
  ${selectInstants('k.created_at', 'k.expires_at', 'k.last_used_at', 'k.revoked_at')} AS instants`;

const apiKeyStatements = ({ apiKeys, users }: SchemaNames, fields: UserFields) => {
  const statement = (name: string, text: string): Statement => ({ name: `latchkey_api_key_${name}`, text });
  const live = (now: string, cutoff: string) =>
    `k.user_id = $1 AND k.revoked_at IS NULL AND k.expires_at > ${instant(now)}
      AND k.created_at > coalesce(${instant(cutoff)}, '-infinity')`;
  return {
    check: { name: '', text: `SELECT ${KEY}, k.key_hash FROM ${apiKeys} k LIMIT 0` },
    find: statement('find', `SELECT ${KEY} FROM ${apiKeys} k WHERE k.key_hash = $1`),
    findWithUser: statement(
      'find_with_user',
      `SELECT ${KEY}, ${userColumns(fields)} FROM ${apiKeys} k JOIN ${users} u ON u.id = k.user_id WHERE k.key_hash = $1`,
    ),
    /** Before the statement that counts, which then sees what the transaction before has written. */
    lock: statement(
      'lock',
      `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('nestjs-latchkey:api-keys:' || $1::text, 0::bigint))`,
    ),
    insert: statement(
      'insert',
      `INSERT INTO ${apiKeys} AS k (user_id, name, prefix, key_hash, scopes, created_at, expires_at)
        SELECT $1, $4::text, $5::text, $6::text, $7::text[], ${instant('$8')}, ${instant('$8')} + ${interval('$9')}
        WHERE (SELECT pg_catalog.count(*) FROM ${apiKeys} k WHERE ${live('$2', '$3')}) < $10::bigint
        RETURNING ${KEY}`,
    ),
    list: statement(
      'list',
      `SELECT ${KEY} FROM ${apiKeys} k WHERE ${live('$2', '$3')} ORDER BY k.created_at DESC, k.id`,
    ),
    /** `ended` has a row for the one call that ends it; `found` tells the others that there is such a key. */
    revoke: statement(
      'revoke',
      `WITH ended AS (UPDATE ${apiKeys} SET revoked_at = ${instant('$3')}
          WHERE id = $2::uuid AND user_id = $1 AND revoked_at IS NULL RETURNING id)
        SELECT k.name, EXISTS (SELECT 1 FROM ended) AS ended FROM ${apiKeys} k WHERE k.id = $2::uuid AND k.user_id = $1`,
    ),
    revokeByUser: statement(
      'revoke_by_user',
      `UPDATE ${apiKeys} SET revoked_at = ${instant('$2')}
        WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > ${instant('$2')} RETURNING id::text AS id`,
    ),
    touch: statement(
      'touch',
      `UPDATE ${apiKeys} SET last_used_at = ${instant('$2')} WHERE key_hash = $1
        AND (last_used_at IS NULL OR last_used_at <= ${instant('$2')} - ${interval('$3')})`,
    ),
    /** Skips rows that are being written, so that it never waits. */
    deleteOver: statement(
      'delete_over',
      `DELETE FROM ${apiKeys} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM ${apiKeys} WHERE expires_at <= ${instant('$1')} OR revoked_at <= ${instant('$1')} LIMIT $2
          FOR UPDATE SKIP LOCKED))`,
    ),
  };
};

interface Row {
  id: string;
  user_id: string;
  name: string;
  prefix: string;
  scopes: string[];
  /** In order: created, expires, last used, revoked. */
  instants: string;
}

/** The table `auth_api_keys`. While users are in our own table, a key and its owner are read by one join. */
@Injectable()
export class PostgresApiKeyStore extends ApiKeyStore implements OnModuleInit {
  private readonly sql;
  private readonly joinsUsers: boolean;

  constructor(
    private readonly statements: PreparedStatements,
    private readonly users: UserDirectory,
    names: SchemaNames,
  ) {
    super();
    this.sql = apiKeyStatements(names, fieldsOf(users));
    this.joinsUsers = users.isJoinable;
  }

  /** Fails the boot if the table is missing. */
  async onModuleInit(): Promise<void> {
    await this.statements.runAlone(this.sql.check, []);
  }

  override async find(hash: string): Promise<StoredApiKey | null> {
    if (this.joinsUsers) {
      const { rows } = await this.statements.run<Row & UserColumns>(this.sql.findWithUser, [hash]);
      return rows[0] ? { ...keyOf(rows[0]), user: userOfColumns(rows[0].user_id, rows[0]) } : null;
    }
    const { rows } = await this.statements.run<Row>(this.sql.find, [hash]);
    const user = rows[0] && (await this.userOf(rows[0].user_id));
    return rows[0] && user ? { ...keyOf(rows[0]), user } : null;
  }

  override async insert(
    key: NewApiKey,
    { now, cutoff, max }: LiveKeysAt & { readonly max: number },
  ): Promise<ApiKey | null> {
    const { userId, name, prefix, hash, scopes, createdAt, lifetime } = key;
    try {
      await this.statements.run(this.sql.lock, [userId]);
      const { rows } = await this.statements.run<Row>(this.sql.insert, [
        ...ofUser(userId, { now, cutoff }),
        name,
        prefix,
        hash,
        scopes,
        toEpochSeconds(createdAt),
        lifetime / 1000,
        max,
      ]);
      return rows[0] ? keyOf(rows[0]).apiKey : null;
    } catch (error) {
      if (!isNoSuchUser(error)) throw error;
      const message = 'There is no user with this id: pass the id of an existing account.';
      throw new AuthError('USER_NOT_FOUND', message, {}, { cause: error });
    }
  }

  override async listByUser(userId: string, at: LiveKeysAt): Promise<ApiKey[]> {
    const rows = await this.rowsOf<Row>(this.sql.list, ofUser(userId, at));
    return rows.map((row) => keyOf(row).apiKey);
  }

  override async revoke(
    userId: string,
    id: string,
    now: number,
  ): Promise<{ outcome: 'revoked' | 'before'; name: string } | null> {
    const values = [userId, id, toEpochSeconds(now)];
    const [row] = await this.rowsOf<{ name: string; ended: boolean }>(this.sql.revoke, values);
    return row ? { outcome: row.ended ? 'revoked' : 'before', name: row.name } : null;
  }

  override async revokeByUser(userId: string, now: number): Promise<string[]> {
    const rows = await this.rowsOf<{ id: string }>(this.sql.revokeByUser, [userId, toEpochSeconds(now)]);
    return rows.map(({ id }) => id);
  }

  /** While the database is read-only, keys stay as valid as they are. */
  override async touch(hash: string, now: number, grain: Duration): Promise<void> {
    try {
      await this.statements.run(this.sql.touch, [hash, toEpochSeconds(now), grain / 1000]);
    } catch (error) {
      if (sqlStateOrCause(error) !== READ_ONLY_TRANSACTION) throw error;
    }
  }

  override async deleteOver(instant: number, limit: number): Promise<number> {
    return (await this.statements.run(this.sql.deleteOver, [toEpochSeconds(instant), limit])).rowCount;
  }

  /** An id that no user can have has no keys. */
  private async rowsOf<T>(statement: Statement, values: unknown[]): Promise<T[]> {
    try {
      return (await this.statements.run<T>(statement, values)).rows;
    } catch (error) {
      if (isNoSuchUser(error)) return [];
      throw error;
    }
  }

  private async userOf(id: string): ReturnType<UserDirectory['findById']> {
    try {
      return await this.users.findById(id);
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }
}

const isNoSuchUser = (error: unknown): boolean => NO_SUCH_USER.has(sqlState(error) ?? '');

const ofUser = (userId: string, { now, cutoff }: LiveKeysAt): unknown[] => [
  userId,
  toEpochSeconds(now),
  cutoff === null ? null : toEpochSeconds(cutoff),
];

function keyOf(row: Row): Omit<StoredApiKey, 'user'> {
  const [createdAt, expiresAt, lastUsedAt, revokedAt] = readInstants(row.instants);
  return {
    apiKey: {
      id: row.id,
      userId: row.user_id,
      name: row.name,
      prefix: row.prefix,
      scopes: row.scopes,
      createdAt: createdAt!,
      expiresAt: expiresAt!,
      lastUsedAt: lastUsedAt!,
    },
    revokedAt: revokedAt!,
  };
}
