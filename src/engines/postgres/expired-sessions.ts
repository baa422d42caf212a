import { toEpochSeconds } from '../../postgres/epoch-seconds.js';
import type { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import type { SessionStatements } from './postgres-session.statements.js';

const START = '-infinity';

/** Deletes expired rows batch by batch: first the expired sessions, then the rows that rotations have left. */
export class ExpiredSessions {
  /** How far the current cleanup run has got. */
  private swept = { now: Number.NaN, expired: START, rotated: START };

  constructor(
    private readonly statements: PreparedStatements,
    private readonly sql: Pick<SessionStatements, 'deleteExpired' | 'deleteRotated'>,
  ) {}

  /** Deletes at most `limit` of the rows that had expired by `now`. Returns the number deleted. */
  async delete(now: number, limit: number): Promise<number> {
    if (this.swept.now !== now) this.swept = { now, expired: START, rotated: START };
    const expired = await this.deleteDue('expired', this.sql.deleteExpired, limit);
    if (expired >= limit) return expired;
    return expired + (await this.deleteDue('rotated', this.sql.deleteRotated, limit - expired));
  }

  private async deleteDue(kind: 'expired' | 'rotated', statement: Statement, limit: number): Promise<number> {
    const values = [toEpochSeconds(this.swept.now), limit, this.swept[kind]];
    const { rows } = await this.statements.run<{ deleted: number; last: string | null }>(statement, values);
    const { deleted, last } = rows[0]!;
    this.swept[kind] = deleted < limit ? START : (last ?? START);
    return deleted;
  }
}
