import { Injectable } from '@nestjs/common';
import { epochSeconds, fromEpochSeconds, instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { AuditStore, type AuditEntry, type AuditPart, type AuditedEvent } from '../../audit/audit.store.js';
import type { AuthEvent } from '../../events/auth-event.js';

/**
 * By instant and, of the same instant, by number. The first condition on `at` is for the index. Unqualified, `at` and `id`
 * would be those of the select list in ORDER BY: a text, and no index.
 */
const listed = (
  auditEvents: string,
  condition = 'true',
) => `SELECT e.id::text AS id, e.type, ${epochSeconds('e.at')} AS at,
      e.user_id AS "userId", e.login, e.ip, e.facts FROM ${auditEvents} e
    WHERE ${condition} AND e.at <= coalesce((SELECT at FROM ${auditEvents} WHERE id = $1::bigint), 'infinity'::timestamptz)
      AND ($1::bigint IS NULL OR (e.at, e.id) < (SELECT at, id FROM ${auditEvents} WHERE id = $1::bigint))
    ORDER BY e.at DESC, e.id DESC LIMIT $2`;

const auditStatements = ({ auditEvents }: SchemaNames) =>
  ({
    insert: {
      name: 'latchkey_audit_insert',
      text: `INSERT INTO ${auditEvents} (type, at, user_id, login, ip, handle, facts)
    SELECT type, pg_catalog.to_timestamp(at), user_id, login, ip, handle, facts FROM ROWS FROM (
      ${['$1::text[]', '$2::double precision[]', '$3::text[]', '$4::text[]', '$5::text[]', '$6::text[]', '$7::jsonb[]']
        .map((list) => `pg_catalog.unnest(${list})`)
        .join(', ')}) e (type, at, user_id, login, ip, handle, facts)`,
    },
    latestOf: {
      name: 'latchkey_audit_latest_of',
      text: `SELECT e.type, ${epochSeconds('e.at')} AS at, e.ip FROM ${auditEvents} e
    WHERE e.user_id = $1 AND e.type = ANY ($2::text[]) ORDER BY e.at DESC LIMIT $3`,
    },
    list: { name: 'latchkey_audit_list', text: listed(auditEvents) },
    listOf: { name: 'latchkey_audit_list_of', text: listed(auditEvents, 'e.user_id = $3::text') },
    deleteOlderThan: {
      name: 'latchkey_audit_delete_up_to',
      text: `DELETE FROM ${auditEvents} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM ${auditEvents} WHERE at <= ${instant('$1')} ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))`,
    },
  }) satisfies Record<string, Statement>;

/** Of a row. */
const NUMBER = /^\d{1,18}$/;

/** The fields that have columns of their own; every other field goes into `facts`. */
interface Columns {
  readonly userId?: string | null;
  readonly login?: string | null;
  readonly ip?: string | null;
  readonly handle?: string | null;
}

/** The table `auth_audit_events`. */
@Injectable()
export class PostgresAuditStore extends AuditStore {
  private readonly sql;

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
  ) {
    super();
    this.sql = auditStatements(names);
  }

  /** All in one statement, independent of any transaction. */
  override async insert(events: readonly AuthEvent[]): Promise<void> {
    const rows = events.map((event) => {
      const { type, at, userId, login, ip, handle, ...facts } = event as AuthEvent & Columns;
      return [type, toEpochSeconds(at), userId, login, ip, handle, JSON.stringify(facts)].map((value) => value ?? null);
    });
    await this.statements.runAlone(
      this.sql.insert,
      Array.from({ length: 7 }, (_, column) => rows.map((row) => row[column])),
    );
  }

  override async latestOf(userId: string, types: readonly AuthEvent['type'][], limit: number): Promise<AuditedEvent[]> {
    const { rows } = await this.statements.run<AuditedEvent>(this.sql.latestOf, [userId, types, limit]);
    return rows.map((row) => ({ ...row, at: fromEpochSeconds(row.at) }));
  }

  override async list({ userId, before, limit }: AuditPart): Promise<AuditEntry[]> {
    // No text of PostgreSQL has a zero byte.
    if ((before !== undefined && !NUMBER.test(before)) || userId?.includes('\0')) return [];
    const page = [before ?? null, limit];
    const { rows } =
      userId === undefined
        ? await this.statements.run<AuditEntry>(this.sql.list, page)
        : await this.statements.run<AuditEntry>(this.sql.listOf, [...page, userId]);
    return rows.map((row) => ({ ...row, at: fromEpochSeconds(row.at) }));
  }

  override async deleteOlderThan(instant: number, limit: number): Promise<number> {
    return (await this.statements.run(this.sql.deleteOlderThan, [toEpochSeconds(instant), limit])).rowCount;
  }
}
