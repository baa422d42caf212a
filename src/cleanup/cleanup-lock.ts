import { Injectable } from '@nestjs/common';
import { PreparedStatements } from '../postgres/prepared-statements.js';
import type { Statement } from '../postgres/statement.js';

/**
 * The lock belongs to the transaction, so that neither a broken connection nor a pooler can leave it behind. The
 * setting keeps the triggers from publishing these changes.
 */
const TRY_LOCK: Statement = {
  name: 'latchkey_cleanup_lock',
  text: `SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended(
      'nestjs-latchkey:cleanup:' || coalesce($1::text, pg_catalog.current_schema()), 0::bigint)) AS mine,
    pg_catalog.set_config('latchkey.purging'::text, 'on'::text, true)`,
};

/** Lets one process at a time clean a schema. */
@Injectable()
export class CleanupLock {
  constructor(private readonly statements: PreparedStatements) {}

  /** Runs `batch` in its own transaction, or returns `null` at once while another process is cleaning. */
  tryRun<T>(batch: () => Promise<T>): Promise<T | null> {
    return this.statements.transaction(async () => {
      const { rows } = await this.statements.run<{ mine: boolean }>(TRY_LOCK, [this.statements.schema ?? null]);
      return rows[0]!.mine ? batch() : null;
    });
  }
}
