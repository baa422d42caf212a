import { Injectable, type OnModuleInit } from '@nestjs/common';
import { fromEpochSeconds, toEpochSeconds } from '../postgres/epoch-seconds.js';
import { PreparedStatements } from '../postgres/prepared-statements.js';
import type { Statement } from '../postgres/statement.js';
import type { RevokedToken } from '../invalidation/invalidation.js';
import { PostgresUserDirectory, userOf, UUID } from '../engines/postgres/postgres-user.directory.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';

const REVOKE: Statement = {
  name: 'latchkey_revoked_token_insert',
  text: `INSERT INTO revoked_tokens (jti, exp) VALUES ($1, to_timestamp($2))
    ON CONFLICT (jti) DO UPDATE SET exp = greatest(revoked_tokens.exp, excluded.exp)`,
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
/** Skips what somebody is just writing, so that it waits for nobody. */
const DELETE_EXPIRED: Statement = {
  name: 'latchkey_revoked_token_delete_expired',
  text: `DELETE FROM revoked_tokens WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM revoked_tokens WHERE exp <= to_timestamp($1) ORDER BY exp LIMIT $2 FOR UPDATE SKIP LOCKED))`,
};

/** What the database knows of a self-contained token: whether it was ended, and its user as of now. */
export interface TokenState {
  readonly revoked: boolean;
  readonly user: AuthUser | null;
}

interface StateRow {
  revoked: boolean;
  id: string | null;
  email: string | null;
  disabled_at: number | null;
  tokens_invalidated_after: number | null;
}

/** The table `revoked_tokens`. A fault is thrown, never answered with "not revoked". */
@Injectable()
export class RevokedTokenStore implements OnModuleInit {
  private readonly joinsUsers: boolean;

  constructor(
    private readonly statements: PreparedStatements,
    private readonly users: UserDirectory,
  ) {
    this.joinsUsers = users.findById === PostgresUserDirectory.prototype.findById;
  }

  /** Fails the boot where the table is not there. */
  async onModuleInit(): Promise<void> {
    await this.isRevoked('');
  }

  /** Idempotent; of two expiries the later one holds. `exp` is in epoch ms. */
  async revoke(jti: string, exp: number): Promise<void> {
    await this.statements.run(REVOKE, [jti, toEpochSeconds(exp)]);
  }

  async isRevoked(jti: string): Promise<boolean> {
    const { rows } = await this.statements.run<{ revoked: boolean }>(IS_REVOKED, [jti]);
    return rows[0]!.revoked;
  }

  /** Both answers in one round trip while users are in our own table; with a directory of the host's, side by side. */
  async stateOf(jti: string, userId: string): Promise<TokenState> {
    if (!this.joinsUsers || !UUID.test(userId)) {
      const [revoked, user] = await Promise.all([this.isRevoked(jti), this.users.findById(userId)]);
      return { revoked, user };
    }
    const { rows } = await this.statements.run<StateRow>(FIND_STATE, [jti, userId]);
    const { revoked, id, email, disabled_at, tokens_invalidated_after } = rows[0]!;
    return { revoked, user: id === null ? null : userOf(id, email!, disabled_at, tokens_invalidated_after) };
  }

  /** At most `most` of those that have not expired by themselves, `exp` in epoch ms. */
  async list(now: number, most: number): Promise<RevokedToken[]> {
    const { rows } = await this.statements.run<{ jti: string; exp: number }>(LIST, [toEpochSeconds(now), most]);
    return rows.map(({ jti, exp }) => [jti, fromEpochSeconds(exp)]);
  }

  /** Deletes at most `limit` of those that have expired by themselves, the oldest first; how many. */
  async deleteExpired(now: number, limit: number): Promise<number> {
    return (await this.statements.run(DELETE_EXPIRED, [toEpochSeconds(now), limit])).rowCount;
  }
}
