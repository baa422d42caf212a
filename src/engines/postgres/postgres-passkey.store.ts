import { Injectable, type OnModuleInit } from '@nestjs/common';
import { AuthError } from '../../auth.errors.js';
import { PasskeyStore, type NewPasskey, type PasskeyUse, type StoredPasskey } from '../../passkey/passkey.store.js';
import { epochSeconds, fromEpochSeconds, instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { sqlState } from '../../postgres/store-error.js';
import { SchemaNames } from '../../schema/schema-names.js';

/** A text that is no id of the column's type, a number out of its range, or an id that no user has. */
const NO_SUCH_USER = new Set(['22P02', '22003', '23503']);
const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;

const passkeyStatements = ({ passkeys }: SchemaNames) => {
  const statement = (name: string, text: string): Statement => ({ name: `latchkey_passkey_${name}`, text });
  const select = `SELECT p.id::text AS id, p.user_id::text AS user_id, p.user_handle, p.credential_id, p.public_key,
      p.sign_count::double precision AS sign_count, p.aaguid::text AS aaguid, p.transports, p.multi_device, p.backed_up,
      p.name, ${epochSeconds('p.created_at')} AS created_at, ${epochSeconds('p.last_used_at')} AS last_used_at,
      ${epochSeconds('p.clone_suspected_at')} AS clone_suspected_at
    FROM ${passkeys} p`;
  return {
    check: statement('check', `SELECT FROM ${passkeys} LIMIT 0`),
    /** Before the statement that decides, which then sees what the transaction before has written. */
    lock: statement(
      'lock',
      `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('nestjs-latchkey:ways-in:' || $1::text, 0::bigint))`,
    ),
    add: statement(
      'add',
      `WITH own AS (
        SELECT pg_catalog.count(*) AS n, pg_catalog.bool_or(user_handle <> $3::text) AS differs
          FROM ${passkeys} WHERE user_id = $2
      ), added AS (
        INSERT INTO ${passkeys} (id, user_id, user_handle, credential_id, public_key, sign_count, aaguid, transports,
            multi_device, backed_up, name, created_at)
          SELECT $1::uuid, $2, $3::text, $4::text, $5::bytea, $6::bigint, $7::uuid, $8::text[], $9::boolean, $10::boolean,
            $11::text, ${instant('$12')}
            FROM own WHERE n < $13::integer AND differs IS NOT TRUE
          ON CONFLICT (credential_id) DO NOTHING
          RETURNING id
      )
      SELECT CASE WHEN EXISTS (SELECT FROM added) THEN 'added' WHEN n >= $13::integer THEN 'full' ELSE 'refused' END AS outcome
        FROM own`,
    ),
    list: statement('list', `${select} WHERE p.user_id = $1 ORDER BY p.created_at, p.id`),
    hasAny: statement('has_any', `SELECT FROM ${passkeys} WHERE user_id = $1 LIMIT 1`),
    find: statement('find', `${select} WHERE p.credential_id = $1`),
    use: statement(
      'use',
      `UPDATE ${passkeys} SET sign_count = $2::bigint, backed_up = $3::boolean,
          last_used_at = greatest(last_used_at, ${instant('$4')})
        WHERE id = $1::uuid AND (sign_count < $2::bigint OR (sign_count = 0 AND $2::bigint = 0))`,
    ),
    suspect: statement('suspect', `UPDATE ${passkeys} SET clone_suspected_at = ${instant('$2')} WHERE id = $1::uuid`),
    rename: statement('rename', `UPDATE ${passkeys} SET name = $3 WHERE user_id = $1 AND id = $2::uuid`),
    delete: statement('delete', `DELETE FROM ${passkeys} WHERE user_id = $1 AND id = $2::uuid`),
    removeSince: statement(
      'remove_since',
      `DELETE FROM ${passkeys} WHERE user_id = $1 AND created_at >= ${instant('$2')}`,
    ),
  };
};

interface Row {
  id: string;
  user_id: string;
  user_handle: string;
  credential_id: string;
  public_key: Buffer;
  sign_count: number;
  aaguid: string | null;
  transports: string[];
  multi_device: boolean;
  backed_up: boolean;
  name: string;
  created_at: number;
  last_used_at: number | null;
  clone_suspected_at: number | null;
}

/** The table `auth_passkeys`. */
@Injectable()
export class PostgresPasskeyStore extends PasskeyStore implements OnModuleInit {
  private readonly sql;

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
  ) {
    super();
    this.sql = passkeyStatements(names);
  }

  /** Fails the boot if the table is missing. */
  async onModuleInit(): Promise<void> {
    await this.statements.run(this.sql.check, []);
  }

  override async add(passkey: NewPasskey, max: number): Promise<'added' | 'full' | 'refused'> {
    const { id, userId, userHandle, credentialId, publicKey, signCount, aaguid, transports } = passkey;
    const key = [id, userId, userHandle, credentialId, Buffer.from(publicKey), signCount, aaguid, [...transports]];
    const values = [
      ...key,
      passkey.multiDevice,
      passkey.backedUp,
      passkey.name,
      toEpochSeconds(passkey.createdAt),
      max,
    ];
    try {
      return await this.statements.transaction(async () => {
        await this.lockWaysIn(userId);
        const { rows } = await this.statements.run<{ outcome: 'added' | 'full' | 'refused' }>(this.sql.add, values);
        return rows[0]!.outcome;
      });
    } catch (error) {
      if (!NO_SUCH_USER.has(sqlState(error) ?? '')) throw error;
      const message = 'There is no user with this id: pass the id of an existing account.';
      throw new AuthError('USER_NOT_FOUND', message, {}, { cause: error });
    }
  }

  override async listByUser(userId: string): Promise<StoredPasskey[]> {
    return (await this.ofUser<Row>(this.sql.list, [userId])).rows.map(toPasskey);
  }

  override async hasAny(userId: string): Promise<boolean> {
    return (await this.ofUser(this.sql.hasAny, [userId])).rowCount > 0;
  }

  override async findByCredential(credentialId: string): Promise<StoredPasskey | null> {
    const row = (await this.statements.run<Row>(this.sql.find, [credentialId])).rows[0];
    return row ? toPasskey(row) : null;
  }

  override async use(id: string, { signCount, backedUp, now }: PasskeyUse): Promise<boolean> {
    const values = [id, signCount, backedUp, toEpochSeconds(now)];
    return (await this.statements.run(this.sql.use, values)).rowCount > 0;
  }

  override async suspect(id: string, now: number): Promise<boolean> {
    return (await this.statements.run(this.sql.suspect, [id, toEpochSeconds(now)])).rowCount > 0;
  }

  override async rename(userId: string, id: string, name: string): Promise<boolean> {
    return UUID.test(id) && (await this.ofUser(this.sql.rename, [userId, id, name])).rowCount > 0;
  }

  override async lockWaysIn(userId: string): Promise<void> {
    await this.statements.run(this.sql.lock, [userId]);
  }

  override async delete(userId: string, id: string): Promise<boolean> {
    return UUID.test(id) && (await this.ofUser(this.sql.delete, [userId, id])).rowCount > 0;
  }

  override async removeSince(userId: string, since: number): Promise<boolean> {
    return (await this.ofUser(this.sql.removeSince, [userId, toEpochSeconds(since)])).rowCount > 0;
  }

  /** An id that no user can have has no passkeys. */
  private async ofUser<Found>(statement: Statement, values: unknown[]) {
    try {
      return await this.statements.run<Found>(statement, values);
    } catch (error) {
      if (NO_SUCH_USER.has(sqlState(error) ?? '')) return { rows: [] as Found[], rowCount: 0 };
      throw error;
    }
  }
}

function toPasskey(row: Row): StoredPasskey {
  const at = (seconds: number | null) => (seconds === null ? null : fromEpochSeconds(seconds));
  return {
    id: row.id,
    userId: row.user_id,
    userHandle: row.user_handle,
    credentialId: row.credential_id,
    publicKey: new Uint8Array(row.public_key),
    signCount: row.sign_count,
    aaguid: row.aaguid,
    transports: row.transports,
    multiDevice: row.multi_device,
    backedUp: row.backed_up,
    name: row.name,
    createdAt: fromEpochSeconds(row.created_at),
    lastUsedAt: at(row.last_used_at),
    cloneSuspectedAt: at(row.clone_suspected_at),
  };
}
