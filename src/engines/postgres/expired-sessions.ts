import { toEpochSeconds } from '../../postgres/epoch-seconds.js';
import type { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';

/**
 * Skips rows that are in use, so that it neither waits nor deadlocks. Each batch starts at the end of the one before,
 * since otherwise deleted rows would be scanned again for as long as an old snapshot needs them.
 */
const deleteDue = (name: string, rows: string, over: string): Statement => ({
  name: `latchkey_session_delete_${name}`,
  text: `WITH due AS MATERIALIZED (
      SELECT ctid AS place, ${over} AS over FROM sessions WHERE ${rows} AND ${over} BETWEEN $3 AND to_timestamp($1)
        ORDER BY ${over} LIMIT $2 FOR UPDATE SKIP LOCKED),
      gone AS (DELETE FROM sessions WHERE ctid = ANY (ARRAY(SELECT place FROM due)))
    SELECT count(*)::integer AS deleted, max(over)::text AS last FROM due`,
});
const DELETE_EXPIRED = deleteDue('expired', 'rotated_at IS NULL', 'expires_at');
const DELETE_ROTATED = deleteDue('rotated', 'rotated_at IS NOT NULL', 'absolute_expires_at');
const START = '-infinity';

/** Deletes expired rows batch by batch: the expired sessions, then the traces that rotations have left. */
export class ExpiredSessions {
  /** Up to which end of life the cleanup has come that is under way. */
  private swept = { now: Number.NaN, expired: START, rotated: START };

  constructor(private readonly statements: PreparedStatements) {}

  /** Deletes at most `limit` of those that had expired by `now`. Returns the number deleted. */
  async delete(now: number, limit: number): Promise<number> {
    if (this.swept.now !== now) this.swept = { now, expired: START, rotated: START };
    const expired = await this.deleteDue('expired', DELETE_EXPIRED, limit);
    return expired >= limit ? expired : expired + (await this.deleteDue('rotated', DELETE_ROTATED, limit - expired));
  }

  private async deleteDue(kind: 'expired' | 'rotated', statement: Statement, limit: number): Promise<number> {
    const values = [toEpochSeconds(this.swept.now), limit, this.swept[kind]];
    const { rows } = await this.statements.run<{ deleted: number; last: string | null }>(statement, values);
    const { deleted, last } = rows[0]!;
    this.swept[kind] = deleted < limit ? START : (last ?? START);
    return deleted;
  }
}
