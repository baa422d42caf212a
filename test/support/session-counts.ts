import type { TestDatabase } from './database.js';

/** What the contract of `SessionStore` asks of the rows themselves. */
export function countsOf(db: TestDatabase) {
  const count = (condition: string) => async (userId: string) => {
    const rows = await db.query(`SELECT count(*) AS n FROM sessions WHERE user_id = $1 AND ${condition}`, [userId]);
    return Number(rows[0]!['n']);
  };
  return { count: count('rotated_at IS NULL'), countRotated: count('rotated_at IS NOT NULL') };
}
