import { Injectable, type OnModuleInit } from '@nestjs/common';
import { AuthError } from '../../auth.errors.js';
import { UUID } from '../../common/uuid.js';
import {
  IdentityStore,
  type EndedProviderSession,
  type NewIdentity,
  type ProviderSessionEntry,
  type StoredIdentity,
} from '../../oidc/identity.store.js';
import type { AddedSince } from '../../login/ways-in.js';
import { epochSeconds, fromEpochSeconds, instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { sqlState } from '../../postgres/store-error.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { normalizeLogin } from '../../user/login-name.js';
import type { AuthUser } from '../../user/user.directory.js';

/** A text that is no id of the column's type, a number out of its range, or an id that no user has. */
const NO_SUCH_USER = new Set(['22P02', '22003', '23503']);

const identityStatements = ({ identities }: SchemaNames) => {
  const statement = (name: string, text: string): Statement => ({ name: `latchkey_identity_${name}`, text });
  const select = `SELECT i.id::text AS id, i.user_id::text AS user_id, i.provider, i.issuer, i.subject, i.email,
      ${epochSeconds('i.linked_at')} AS linked_at, ${epochSeconds('i.last_used_at')} AS last_used_at
    FROM ${identities} i`;
  const sessions = `SELECT i.user_id::text AS user_id, coalesce((SELECT pg_catalog.jsonb_agg(entry)
        FROM ${identities} o, pg_catalog.jsonb_array_elements(o.provider_sessions) entry
        WHERE o.user_id = i.user_id), '[]'::jsonb) AS entries
      FROM ${identities} i`;
  return {
    check: { name: '', text: `${select} LIMIT 0` },
    /** Before the statement that decides, which then sees what the transaction before has written. */
    lock: statement(
      'lock',
      `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('nestjs-latchkey:ways-in:' || $1::text, 0::bigint))`,
    ),
    add: statement(
      'add',
      `INSERT INTO ${identities} (id, user_id, provider, issuer, subject, email, linked_at)
        VALUES ($1::uuid, $2, $3::text, $4::text, $5::text, $6::text, ${instant('$7')}) ON CONFLICT DO NOTHING`,
    ),
    find: statement('find', `${select} WHERE i.issuer = $1::text AND i.subject = $2::text`),
    list: statement('list', `${select} WHERE i.user_id = $1 ORDER BY i.linked_at, i.id`),
    hasAny: statement('has_any', `SELECT FROM ${identities} WHERE user_id = $1 LIMIT 1`),
    use: statement(
      'use',
      `UPDATE ${identities} SET email = $2::text, last_used_at = greatest(last_used_at, ${instant('$3')})
        WHERE id = $1::uuid`,
    ),
    delete: statement('delete', `DELETE FROM ${identities} WHERE user_id = $1 AND id = $2::uuid`),
    recordSession: statement(
      'record_session',
      `UPDATE ${identities} SET provider_sessions = (
          SELECT pg_catalog.jsonb_agg(kept.entry ORDER BY kept.at) FROM (
            SELECT entry, (entry->>'at')::float8 AS at
              FROM (SELECT earlier AS entry
                  FROM pg_catalog.jsonb_array_elements(coalesce(provider_sessions, '[]'::jsonb)) earlier
                  WHERE earlier - 'at'::text <> ($4::jsonb->0) - 'at'::text
                UNION ALL SELECT $4::jsonb->0) every
              WHERE (entry->>'at')::float8 > $5::float8 ORDER BY 2 DESC LIMIT $6::integer) kept)
        WHERE user_id = $1 AND issuer = $2::text AND subject = $3::text`,
    ),
    sessionsOf: statement('sessions_of', `${sessions} WHERE i.issuer = $1::text AND i.subject = $2::text`),
    sessionsNamed: statement(
      'sessions_named',
      `${sessions} WHERE i.issuer = $1::text
        AND i.provider_sessions @> pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('session', $2::text))`,
    ),
    removeSince: statement(
      'remove_since',
      `DELETE FROM ${identities} WHERE user_id = $1 AND (linked_at >= ${instant('$2')}
          OR linked_at >= ${instant('$3')} AND pg_catalog.lower(email::text) IS DISTINCT FROM $4::text)
        RETURNING provider`,
    ),
  };
};

interface Row {
  id: string;
  user_id: string;
  provider: string;
  issuer: string;
  subject: string;
  email: string | null;
  linked_at: number;
  last_used_at: number | null;
}

interface EntriesRow {
  user_id: string;
  entries: ProviderSessionEntry[];
}

/** The table `auth_identities`. */
@Injectable()
export class PostgresIdentityStore extends IdentityStore implements OnModuleInit {
  private readonly sql;

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
  ) {
    super();
    this.sql = identityStatements(names);
  }

  /** Fails the boot if the table is missing. */
  async onModuleInit(): Promise<void> {
    await this.statements.runAlone(this.sql.check, []);
  }

  override async find(issuer: string, subject: string): Promise<StoredIdentity | null> {
    const row = (await this.statements.run<Row>(this.sql.find, [issuer, subject])).rows[0];
    return row ? toIdentity(row) : null;
  }

  override async listByUser(userId: string): Promise<StoredIdentity[]> {
    return (await this.ofUser<Row>(this.sql.list, [userId])).rows.map(toIdentity);
  }

  override async hasAny(userId: string): Promise<boolean> {
    return (await this.ofUser(this.sql.hasAny, [userId])).rowCount > 0;
  }

  override async add({
    id,
    userId,
    provider,
    issuer,
    subject,
    email,
    linkedAt,
  }: NewIdentity): Promise<'added' | 'taken' | 'full'> {
    const values = [id, userId, provider, issuer, subject, email, toEpochSeconds(linkedAt)];
    try {
      return await this.statements.transaction(async () => {
        await this.lockWaysIn(userId);
        if ((await this.statements.run(this.sql.add, values)).rowCount > 0) return 'added';
        // Why not. With the lock held no other of this user can have come; one of another user may have gone since.
        const own = await this.listByUser(userId);
        const isFull = own.some((other) => other.provider === provider && !isSame(other, { issuer, subject }));
        return isFull ? 'full' : 'taken';
      });
    } catch (error) {
      if (!NO_SUCH_USER.has(sqlState(error) ?? '')) throw error;
      const message = 'There is no user with this id: pass the id of an existing account.';
      throw new AuthError('USER_NOT_FOUND', message, {}, { cause: error });
    }
  }

  override async use(id: string, { email, now }: { email: string | null; now: number }): Promise<boolean> {
    return UUID.test(id) && (await this.statements.run(this.sql.use, [id, email, toEpochSeconds(now)])).rowCount > 0;
  }

  override async lockWaysIn(userId: string): Promise<void> {
    await this.statements.run(this.sql.lock, [userId]);
  }

  override async delete(userId: string, id: string): Promise<boolean> {
    return UUID.test(id) && (await this.ofUser(this.sql.delete, [userId, id])).rowCount > 0;
  }

  override async removeSince({ id, email }: Pick<AuthUser, 'id' | 'email'>, { since, foreignSince }: AddedSince) {
    const values = [id, toEpochSeconds(since), toEpochSeconds(foreignSince), normalizeLogin(email)];
    return (await this.ofUser<{ provider: string }>(this.sql.removeSince, values)).rows.map(({ provider }) => provider);
  }

  override async recordSession(
    { userId, issuer, subject }: Pick<StoredIdentity, 'userId' | 'issuer' | 'subject'>,
    entry: ProviderSessionEntry,
    { since, most }: { readonly since: number; readonly most: number },
  ): Promise<void> {
    await this.ofUser(this.sql.recordSession, [userId, issuer, subject, JSON.stringify([entry]), since, most]);
  }

  override async sessionsOf({ issuer, subject, session }: EndedProviderSession) {
    const { rows } =
      subject === null
        ? await this.statements.run<EntriesRow>(this.sql.sessionsNamed, [issuer, session])
        : await this.statements.run<EntriesRow>(this.sql.sessionsOf, [issuer, subject]);
    return rows.map(({ user_id: userId, entries }) => ({ userId, entries }));
  }

  /** An id that no user can have has no identities. */
  private async ofUser<Found>(statement: Statement, values: unknown[]) {
    try {
      return await this.statements.run<Found>(statement, values);
    } catch (error) {
      if (NO_SUCH_USER.has(sqlState(error) ?? '')) return { rows: [] as Found[], rowCount: 0 };
      throw error;
    }
  }
}

const isSame = (one: Pick<StoredIdentity, 'issuer' | 'subject'>, other: Pick<StoredIdentity, 'issuer' | 'subject'>) =>
  one.issuer === other.issuer && one.subject === other.subject;

function toIdentity(row: Row): StoredIdentity {
  return {
    id: row.id,
    userId: row.user_id,
    provider: row.provider,
    issuer: row.issuer,
    subject: row.subject,
    email: row.email,
    linkedAt: fromEpochSeconds(row.linked_at),
    lastUsedAt: row.last_used_at === null ? null : fromEpochSeconds(row.last_used_at),
  };
}
