import { Injectable, type OnModuleInit } from '@nestjs/common';
import { epochSeconds, fromEpochSeconds, instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { literal, SchemaNames } from '../../schema/schema-names.js';
import { EphemeralTokenStore, type EphemeralTokenKey } from '../../ephemeral-token/ephemeral-token.store.js';
import type { EphemeralTokenRow } from '../../ephemeral-token/ephemeral-token.types.js';

/** What the caller does not know. In one column, since the driver spends time on each: a tenth of a call for these. */
const CONTENT = `pg_catalog.json_build_array(username, provider_id, nonce, code_verifier, challenge_id, user_id, payload,
  ${epochSeconds('created_at')}, ${epochSeconds('expires_at')})::text AS content`;
const VALUES = `$1, $2, $3, $4, $5, $6, $7, $8, $9, ${instant('$10')}, ${instant('$11')}`;
const CAST_VALUES = `$1::text, $2::text, $3::text, $4::integer, $5::text, $6::text, $7::text, $8::text, $9::jsonb,
  ${instant('$10')}, ${instant('$11')}`;
const ROW =
  'token, token_type, username, provider_id, nonce, code_verifier, challenge_id, user_id, payload, created_at, expires_at';

/** The WHERE has every condition for a usable token, so that a refused one is not spent. */
const USABLE = `token = $1 AND token_type = $2 AND expires_at > ${instant('$3')}`;
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

const REPLACE_TOKEN = 'text,text,text,integer,text,text,text,text,jsonb,timestamptz,timestamptz'.split(',');

function tokenStatements(names: SchemaNames) {
  const { ephemeralTokens } = names;
  const ours = (name: string) => names.qualified(`latchkey_${name}`);
  return {
    /** The function takes the lock of user and type before it deletes: see the migration. */
    insertOnly: {
      name: 'latchkey_token_insert_only',
      text: `SELECT ${ours('replace_token')}(${CAST_VALUES})`,
    },
    insert: {
      name: 'latchkey_token_insert',
      text: `INSERT INTO ${ephemeralTokens} (${ROW}) VALUES (${VALUES})`,
    },
    find: byBinding('find', (where) => `SELECT ${CONTENT} FROM ${ephemeralTokens} WHERE ${where}`),
    /**
     * Locks the user's rows of this type in the order of their ids, so that two such statements wait for each other
     * instead of deadlocking; the one that waited finds all rows gone, including its own, and returns nothing.
     */
    takeAll: byBinding(
      'take_all',
      (where) => `
    WITH taken AS (SELECT username FROM ${ephemeralTokens} WHERE ${where}),
      outstanding AS (
        SELECT t.id FROM ${ephemeralTokens} t
          WHERE t.token_type = $2 AND (t.username = (SELECT username FROM taken)
            OR (t.token = $1 AND EXISTS (SELECT 1 FROM taken)))
          ORDER BY t.id FOR UPDATE),
      gone AS (DELETE FROM ${ephemeralTokens} WHERE id IN (SELECT id FROM outstanding) RETURNING *)
    SELECT ${CONTENT} FROM gone WHERE token = $1`,
    ),
    take: byBinding('take', (where) => `DELETE FROM ${ephemeralTokens} WHERE ${where} RETURNING ${CONTENT}`),
    deleteByLogin: {
      name: 'latchkey_token_delete_by_user',
      text: `DELETE FROM ${ephemeralTokens} WHERE username = $1 AND created_at >= coalesce(${instant('$2')}, '-infinity')`,
    },
    deleteOfType: {
      name: 'latchkey_token_delete_of_type',
      text: `DELETE FROM ${ephemeralTokens} WHERE username = $1 AND token_type = $2`,
    },
    countOfType: {
      name: 'latchkey_token_count_of_type',
      text: `SELECT pg_catalog.count(*)::integer AS live FROM ${ephemeralTokens} WHERE username = $1 AND token_type = $2
    AND expires_at > ${instant('$3')} AND created_at > coalesce(${instant('$4')}, '-infinity')`,
    },
    /** Skips rows that are being consumed, so that it neither waits nor deadlocks. */
    deleteExpired: {
      name: 'latchkey_token_delete_expired',
      text: `DELETE FROM ${ephemeralTokens} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM ${ephemeralTokens} WHERE expires_at <= ${instant('$1')}
      ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))`,
    },
    checkSchema: {
      name: '',
      text: `SELECT ${literal(names.signature('latchkey_replace_token', ...REPLACE_TOKEN))}::regprocedure FROM (SELECT ${ROW} FROM ${ephemeralTokens} LIMIT 0) t`,
    },
  };
}

type TokenContent = [
  username: string | null,
  providerId: number | null,
  nonce: string | null,
  codeVerifier: string | null,
  challengeId: string | null,
  userId: string | null,
  payload: Record<string, unknown> | null,
  createdAt: number,
  expiresAt: number,
];

/** Single-use tokens in the table `auth_ephemeral_tokens`, every method one named prepared statement. */
@Injectable()
export class PostgresEphemeralTokenStore extends EphemeralTokenStore implements OnModuleInit {
  private readonly sql;

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
  ) {
    super();
    this.sql = tokenStatements(names);
  }

  /** Fails the boot if the schema is missing, instead of failing every request after it. */
  async onModuleInit(): Promise<void> {
    await this.statements.run(this.sql.checkSchema, []);
  }

  override async insert(row: EphemeralTokenRow, { voidsEarlier }: { voidsEarlier: boolean }): Promise<void> {
    await this.statements.run(voidsEarlier && row.username !== null ? this.sql.insertOnly : this.sql.insert, [
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
    return this.one(this.sql.find[key.binding.column], key);
  }

  override take(key: EphemeralTokenKey, { voidsRest }: { voidsRest: boolean }): Promise<EphemeralTokenRow | null> {
    return this.one((voidsRest ? this.sql.takeAll : this.sql.take)[key.binding.column], key);
  }

  override async deleteByLogin(username: string, since?: number): Promise<number> {
    const values = [username, since === undefined ? null : toEpochSeconds(since)];
    return (await this.statements.run(this.sql.deleteByLogin, values)).rowCount;
  }

  override async deleteOfType(username: string, type: string): Promise<number> {
    return (await this.statements.run(this.sql.deleteOfType, [username, type])).rowCount;
  }

  override async countOfType(username: string, type: string, now: number, cutoff: number | null): Promise<number> {
    const values = [username, type, toEpochSeconds(now), cutoff === null ? null : toEpochSeconds(cutoff)];
    return (await this.statements.run<{ live: number }>(this.sql.countOfType, values)).rows[0]!.live;
  }

  override async deleteExpired(now: number, limit: number): Promise<number> {
    return (await this.statements.run(this.sql.deleteExpired, [toEpochSeconds(now), limit])).rowCount;
  }

  private async one(
    statement: Statement,
    { hash, type, now, binding }: EphemeralTokenKey,
  ): Promise<EphemeralTokenRow | null> {
    const values = [hash, type, toEpochSeconds(now), binding.value, binding.optional];
    const { rows } = await this.statements.run<{ content: string }>(statement, values);
    return rows[0] ? toRow(rows[0].content, type, hash) : null;
  }
}

function toRow(content: string, type: string, hash: string): EphemeralTokenRow {
  const [username, providerId, nonce, codeVerifier, challengeId, userId, payload, createdAt, expiresAt] = JSON.parse(
    content,
  ) as TokenContent;
  return {
    type,
    hash,
    username,
    providerId,
    nonce,
    codeVerifier,
    challengeId,
    userId,
    payload,
    createdAt: fromEpochSeconds(createdAt),
    expiresAt: fromEpochSeconds(expiresAt),
  };
}
