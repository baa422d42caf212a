import { Injectable, type OnModuleInit } from '@nestjs/common';
import { fromEpochSeconds, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import type { RevokedToken } from '../../invalidation/invalidation.js';
import { userOf, UUID } from './postgres-user.directory.js';
import { RevokedTokenStore, type TokenState } from '../../revocation/revoked-token.store.js';
import { UserDirectory } from '../../user/user.directory.js';

/** Only a row that was there already has been locked by the statement that answers with it. */
const REVOKE: Statement = {
  name: 'latchkey_revoked_token_insert',
  text: `INSERT INTO revoked_tokens (jti, exp) VALUES ($1, to_timestamp($2))
    ON CONFLICT (jti) DO UPDATE SET exp = greatest(revoked_tokens.exp, excluded.exp) RETURNING xmax = 0 AS inserted`,
};
const IS_REVOKED: Statement = {
  name: 'latchkey_revoked_token_exists',
  text: 'SELECT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = $1) AS revoked',
};
const FIND_STATE: Statement = {
  name: 'latchkey_revoked_token_state',
  text: `SELECT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = $1) AS revoked, u.id::text AS id, u.email::text AS email,
      date_part('epoch', u.disabled_at) AS disabled_at,
      date_part('epoch', u.tokens_invalidated_after) AS tokens_invalidated_after
    FROM (SELECT $2::uuid AS id) asked LEFT JOIN users u ON u.id = asked.id`,
};
const LIST: Statement = {
  name: 'latchkey_revoked_token_list',
  text: `SELECT jti, date_part('epoch', exp) AS exp FROM revoked_tokens WHERE exp > to_timestamp($1) LIMIT $2`,
};
/** Skips rows that are just being written, so that it never waits. */
const DELETE_EXPIRED: Statement = {
  name: 'latchkey_revoked_token_delete_expired',
  text: `DELETE FROM revoked_tokens WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM revoked_tokens WHERE exp <= to_timestamp($1) ORDER BY exp LIMIT $2 FOR UPDATE SKIP LOCKED))`,
};

interface StateRow {
  revoked: boolean;
  id: string | null;
  email: string | null;
  disabled_at: number | null;
  tokens_invalidated_after: number | null;
}

/** The table `revoked_tokens`. */
@Injectable()
export class PostgresRevokedTokenStore extends RevokedTokenStore implements OnModuleInit {
  private readonly joinsUsers: boolean;

  constructor(
    private readonly statements: PreparedStatements,
    private readonly users: UserDirectory,
  ) {
    super();
    this.joinsUsers = users.isJoinable;
  }

  /** Fails the boot if the table is missing. */
  async onModuleInit(): Promise<void> {
    await this.isRevoked('');
  }

  override async revoke(jti: string, exp: number): Promise<boolean> {
    const { rows } = await this.statements.run<{ inserted: boolean }>(REVOKE, [jti, toEpochSeconds(exp)]);
    return rows[0]!.inserted;
  }

  override async isRevoked(jti: string): Promise<boolean> {
    const { rows } = await this.statements.run<{ revoked: boolean }>(IS_REVOKED, [jti]);
    return rows[0]!.revoked;
  }

  /** Both answers in one round trip while users are in our own table; with a directory of the host's, side by side. */
  override async stateOf(jti: string, userId: string): Promise<TokenState> {
    if (!this.joinsUsers || !UUID.test(userId)) {
      const [revoked, user] = await Promise.all([this.isRevoked(jti), this.users.findById(userId)]);
      return { revoked, user };
    }
    const { rows } = await this.statements.run<StateRow>(FIND_STATE, [jti, userId]);
    const { revoked, id, email, disabled_at, tokens_invalidated_after } = rows[0]!;
    return { revoked, user: id === null ? null : userOf(id, email!, disabled_at, tokens_invalidated_after) };
  }

  override async list(now: number, limit: number): Promise<RevokedToken[]> {
    const { rows } = await this.statements.run<{ jti: string; exp: number }>(LIST, [toEpochSeconds(now), limit]);
    return rows.map(({ jti, exp }) => [jti, fromEpochSeconds(exp)]);
  }

  override async deleteExpired(now: number, limit: number): Promise<number> {
    return (await this.statements.run(DELETE_EXPIRED, [toEpochSeconds(now), limit])).rowCount;
  }
}
