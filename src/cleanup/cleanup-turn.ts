import { Injectable } from '@nestjs/common';
import { PreparedStatements } from '../postgres/prepared-statements.js';
import type { Statement } from '../postgres/statement.js';

/**
 * The lock is that of the transaction, so that it cannot be left behind, not by a connection that breaks nor by a pooler
 * that gives the next statement to another one. The setting tells the triggers that nobody needs to hear of this.
 */
const TAKE: Statement = {
  name: 'latchkey_cleanup_turn',
  text: `SELECT pg_try_advisory_xact_lock(hashtextextended('nestjs-latchkey:cleanup:' || current_schema(), 0)) AS mine,
    set_config('latchkey.purging', 'on', true)`,
};

/** Of all processes on one schema one cleans at a time. */
@Injectable()
export class CleanupTurn {
  constructor(private readonly statements: PreparedStatements) {}

  /** Runs `batch` in a transaction of its own, or answers `null` at once while another process is at it. */
  take<T>(batch: () => Promise<T>): Promise<T | null> {
    return this.statements.transaction(async () => {
      const { rows } = await this.statements.run<{ mine: boolean }>(TAKE, []);
      return rows[0]!.mine ? batch() : null;
    });
  }
}
