import { Injectable, type OnModuleInit } from '@nestjs/common';
import { epochSeconds, fromEpochSeconds, instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { UUID } from '../../common/uuid.js';
import { fieldsOf } from './postgres-user.directory.js';
import { userColumns, userOfColumns, type UserColumns, type UserFields } from './user-columns.js';
import { RevokedTokenStore, type RevokedToken, type TokenState } from '../../revocation/revoked-token.store.js';
import { UserDirectory } from '../../user/user.directory.js';

const revokedTokenStatements = ({ revokedTokens, users }: SchemaNames, fields: UserFields) =>
  ({
    /** Only a row that existed before has been locked by the statement that returns it. */
    revoke: {
      name: 'latchkey_revoked_token_insert',
      text: `INSERT INTO ${revokedTokens} AS known (jti, exp) VALUES ($1, ${instant('$2')})
    ON CONFLICT (jti) DO UPDATE SET exp = greatest(known.exp, excluded.exp) RETURNING xmax = 0 AS inserted`,
    },
    isRevoked: {
      name: 'latchkey_revoked_token_exists',
      text: `SELECT EXISTS (SELECT 1 FROM ${revokedTokens} WHERE jti = $1) AS revoked`,
    },
    findState: {
      name: 'latchkey_revoked_token_state',
      text: `SELECT EXISTS (SELECT 1 FROM ${revokedTokens} WHERE jti = $1) AS revoked, u.id::text AS id, ${userColumns(fields)}
    FROM (SELECT $2::uuid AS id) asked LEFT JOIN ${users} u ON u.id = asked.id`,
    },
    list: {
      name: 'latchkey_revoked_token_list',
      text: `SELECT jti, ${epochSeconds('exp')} AS exp FROM ${revokedTokens} WHERE exp > ${instant('$1')} LIMIT $2`,
    },
    /** Skips rows that are being written, so that it never waits. */
    deleteExpired: {
      name: 'latchkey_revoked_token_delete_expired',
      text: `DELETE FROM ${revokedTokens} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM ${revokedTokens} WHERE exp <= ${instant('$1')} ORDER BY exp LIMIT $2 FOR UPDATE SKIP LOCKED))`,
    },
  }) satisfies Record<string, Statement>;

type StateRow = { revoked: boolean } & ({ id: null } | ({ id: string } & UserColumns));

/** The table `revoked_tokens`. */
@Injectable()
export class PostgresRevokedTokenStore extends RevokedTokenStore implements OnModuleInit {
  private readonly joinsUsers: boolean;
  private readonly sql;

  constructor(
    private readonly statements: PreparedStatements,
    private readonly users: UserDirectory,
    names: SchemaNames,
  ) {
    super();
    this.sql = revokedTokenStatements(names, fieldsOf(users));
    this.joinsUsers = users.isJoinable;
  }

  /** Fails the boot if the table is missing. */
  async onModuleInit(): Promise<void> {
    await this.isRevoked('');
  }

  override async revoke(jti: string, exp: number): Promise<boolean> {
    const { rows } = await this.statements.run<{ inserted: boolean }>(this.sql.revoke, [jti, toEpochSeconds(exp)]);
    return rows[0]!.inserted;
  }

  override async isRevoked(jti: string): Promise<boolean> {
    const { rows } = await this.statements.run<{ revoked: boolean }>(this.sql.isRevoked, [jti]);
    return rows[0]!.revoked;
  }

  /**
   * Both answers come in one round trip while users are in our own table; with a `UserDirectory` of the application's
   * own, in two at once.
   */
  override async stateOf(jti: string, userId: string): Promise<TokenState> {
    if (!this.joinsUsers || !UUID.test(userId)) {
      const [revoked, user] = await Promise.all([this.isRevoked(jti), this.users.findById(userId)]);
      return { revoked, user };
    }
    const { rows } = await this.statements.run<StateRow>(this.sql.findState, [jti, userId]);
    const row = rows[0]!;
    return { revoked: row.revoked, user: row.id === null ? null : userOfColumns(row.id, row) };
  }

  override async list(now: number, limit: number): Promise<RevokedToken[]> {
    const { rows } = await this.statements.run<{ jti: string; exp: number }>(this.sql.list, [
      toEpochSeconds(now),
      limit,
    ]);
    return rows.map(({ jti, exp }) => [jti, fromEpochSeconds(exp)]);
  }

  override async deleteExpired(now: number, limit: number): Promise<number> {
    return (await this.statements.run(this.sql.deleteExpired, [toEpochSeconds(now), limit])).rowCount;
  }
}
