import { Injectable, type OnModuleInit } from '@nestjs/common';
import { fromEpochSeconds, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { EphemeralTokenStore, type EphemeralTokenKey } from '../../ephemeral-token/ephemeral-token.store.js';
import type { EphemeralTokenRow } from '../../ephemeral-token/ephemeral-token.types.js';

/** All columns but `token` and `token_type`, which the caller knows. */
const COLUMNS = `username, provider_id, nonce, code_verifier, challenge_id, user_id, payload,
  date_part('epoch', created_at) AS created_at, date_part('epoch', expires_at) AS expires_at`;
const VALUES = '$1, $2, $3, $4, $5, $6, $7, $8, $9, to_timestamp($10), to_timestamp($11)';
const ROW =
  'token, token_type, username, provider_id, nonce, code_verifier, challenge_id, user_id, payload, created_at, expires_at';

const INSERT: Statement = {
  name: 'latchkey_token_insert',
  text: `INSERT INTO auth_ephemeral_tokens (${ROW}) VALUES (${VALUES})`,
};
/** The function takes the lock of user and type before it deletes: see the migration. */
const INSERT_ONLY: Statement = {
  name: 'latchkey_token_insert_only',
  text: `SELECT latchkey_replace_token(${VALUES})`,
};

/** Everything that makes a token usable is in the WHERE, so that a refused one is not spent. */
const USABLE = 'token = $1 AND token_type = $2 AND expires_at > to_timestamp($3)';
const BOUND = {
  challengeId: 'AND (challenge_id = $4 OR ($5 AND challenge_id IS NULL))',
  nonce: 'AND (nonce = $4 OR ($5 AND nonce IS NULL))',
};

function byBinding(name: string, text: (where: string) => string): Record<keyof typeof BOUND, Statement> {
  return {
    challengeId: { name: `latchkey_token_${name}_by_challenge`, text: text(`${USABLE} ${BOUND.challengeId}`) },
    nonce: { name: `latchkey_token_${name}_by_nonce`, text: text(`${USABLE} ${BOUND.nonce}`) },
  };
}

const FIND = byBinding('find', (where) => `SELECT ${COLUMNS} FROM auth_ephemeral_tokens WHERE ${where}`);
const TAKE = byBinding('take', (where) => `DELETE FROM auth_ephemeral_tokens WHERE ${where} RETURNING ${COLUMNS}`);
/**
 * Locks the user's rows of this type in the order of their ids, so that two of these wait for each other instead of
 * deadlocking; the one that waited finds all of them gone, including its own, and gets nothing.
 */
const TAKE_ALL = byBinding(
  'take_all',
  (where) => `
    WITH taken AS (SELECT username FROM auth_ephemeral_tokens WHERE ${where}),
      outstanding AS (
        SELECT t.id FROM auth_ephemeral_tokens t
          WHERE t.token_type = $2 AND (t.username = (SELECT username FROM taken)
            OR (t.token = $1 AND EXISTS (SELECT 1 FROM taken)))
          ORDER BY t.id FOR UPDATE),
      gone AS (DELETE FROM auth_ephemeral_tokens WHERE id IN (SELECT id FROM outstanding) RETURNING *)
    SELECT ${COLUMNS} FROM gone WHERE token = $1`,
);
const DELETE_BY_USER: Statement = {
  name: 'latchkey_token_delete_by_user',
  text: 'DELETE FROM auth_ephemeral_tokens WHERE username = $1',
};
/** Skips rows that are just being consumed, so that it neither waits nor deadlocks. */
const DELETE_EXPIRED: Statement = {
  name: 'latchkey_token_delete_expired',
  text: `DELETE FROM auth_ephemeral_tokens WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM auth_ephemeral_tokens WHERE expires_at <= to_timestamp($1)
      ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))`,
};
const CHECK_SCHEMA: Statement = {
  name: '',
  text: `SELECT 'latchkey_replace_token'::regproc FROM (SELECT ${ROW} FROM auth_ephemeral_tokens LIMIT 0) t`,
};

interface TokenRow {
  username: string | null;
  provider_id: number | null;
  nonce: string | null;
  code_verifier: string | null;
  challenge_id: string | null;
  user_id: string | null;
  payload: Record<string, unknown> | null;
  created_at: number;
  expires_at: number;
}

/** Single-use tokens in the table `auth_ephemeral_tokens`, every method one named prepared statement. */
@Injectable()
export class PostgresEphemeralTokenStore extends EphemeralTokenStore implements OnModuleInit {
  constructor(private readonly statements: PreparedStatements) {
    super();
  }

  /** Fails the boot if the schema is missing, instead of failing every request after it. */
  async onModuleInit(): Promise<void> {
    await this.statements.run(CHECK_SCHEMA, []);
  }

  override async insert(row: EphemeralTokenRow, { voidsEarlier }: { voidsEarlier: boolean }): Promise<void> {
    await this.statements.run(voidsEarlier && row.username !== null ? INSERT_ONLY : INSERT, [
      row.hash,
      row.type,
      row.username,
      row.providerId,
      row.nonce,
      row.codeVerifier,
      row.challengeId,
      row.userId,
      row.payload === null ? null : JSON.stringify(row.payload),
      toEpochSeconds(row.createdAt),
      toEpochSeconds(row.expiresAt),
    ]);
  }

  override find(key: EphemeralTokenKey): Promise<EphemeralTokenRow | null> {
    return this.one(FIND[key.binding.column], key);
  }

  override take(key: EphemeralTokenKey, { voidsRest }: { voidsRest: boolean }): Promise<EphemeralTokenRow | null> {
    return this.one((voidsRest ? TAKE_ALL : TAKE)[key.binding.column], key);
  }

  override async deleteByUser(username: string): Promise<number> {
    return (await this.statements.run(DELETE_BY_USER, [username])).rowCount;
  }

  override async deleteExpired(now: number, limit: number): Promise<number> {
    return (await this.statements.run(DELETE_EXPIRED, [toEpochSeconds(now), limit])).rowCount;
  }

  private async one(
    statement: Statement,
    { hash, type, now, binding }: EphemeralTokenKey,
  ): Promise<EphemeralTokenRow | null> {
    const values = [hash, type, toEpochSeconds(now), binding.value, binding.optional];
    const { rows } = await this.statements.run<TokenRow>(statement, values);
    return rows[0] ? toRow(rows[0], type, hash) : null;
  }
}

function toRow(row: TokenRow, type: string, hash: string): EphemeralTokenRow {
  return {
    type,
    hash,
    username: row.username,
    providerId: row.provider_id,
    nonce: row.nonce,
    codeVerifier: row.code_verifier,
    challengeId: row.challenge_id,
    userId: row.user_id,
    payload: row.payload,
    createdAt: fromEpochSeconds(row.created_at),
    expiresAt: fromEpochSeconds(row.expires_at),
  };
}
