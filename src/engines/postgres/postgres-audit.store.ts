import { Injectable } from '@nestjs/common';
import { toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { AuditStore } from '../../audit/audit.store.js';
import type { AuthEvent } from '../../events/auth-event.js';

const INSERT: Statement = {
  name: 'latchkey_audit_insert',
  text: `INSERT INTO auth_audit_events (type, at, user_id, login, ip, handle, facts)
    SELECT type, to_timestamp(at), user_id, login, ip, handle, facts FROM unnest($1::text[], $2::double precision[],
      $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[]) e (type, at, user_id, login, ip, handle, facts)`,
};
const DELETE_UP_TO: Statement = {
  name: 'latchkey_audit_delete_up_to',
  text: `DELETE FROM auth_audit_events WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM auth_audit_events WHERE at <= to_timestamp($1) ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))`,
};

/** The fields that have columns of their own; every other is a fact. */
interface Columns {
  readonly userId?: string | null;
  readonly login?: string | null;
  readonly ip?: string | null;
  readonly handle?: string | null;
}

/** The table `auth_audit_events`. */
@Injectable()
export class PostgresAuditStore extends AuditStore {
  constructor(private readonly statements: PreparedStatements) {
    super();
  }

  /** In one statement of its own. */
  override async insert(events: readonly AuthEvent[]): Promise<void> {
    const rows = events.map((event) => {
      const { type, at, userId, login, ip, handle, ...facts } = event as AuthEvent & Columns;
      return [type, toEpochSeconds(at), userId, login, ip, handle, JSON.stringify(facts)].map((value) => value ?? null);
    });
    await this.statements.runAlone(
      INSERT,
      Array.from({ length: 7 }, (_, column) => rows.map((row) => row[column])),
    );
  }

  override async deleteUpTo(instant: number, limit: number): Promise<number> {
    return (await this.statements.run(DELETE_UP_TO, [toEpochSeconds(instant), limit])).rowCount;
  }
}
