import { SessionStore } from 'nestjs-latchkey/engine';
import type { SessionStoreSubject } from '../contract/session-store.contract.js';
import { createUser, type TestApp } from './app.js';
import type { TestDatabase } from './database.js';

/** What the contract of `SessionStore` asks of the rows themselves. */
export function countsOf(db: TestDatabase) {
  const count = (condition: string) => async (userId: string) => {
    const rows = await db.query(`SELECT count(*) AS n FROM sessions WHERE user_id = $1 AND ${condition}`, [userId]);
    return Number(rows[0]!['n']);
  };
  return { count: count('rotated_at IS NULL'), countRotated: count('rotated_at IS NOT NULL') };
}

/** The store of this application, with two accounts of ours, for the contract to try. */
export async function sessionStoreOf(t: TestApp): Promise<SessionStoreSubject> {
  return {
    store: t.app.get(SessionStore),
    ada: (await createUser(t.app, 'ada@example.com')).id,
    bob: (await createUser(t.app, 'bob@example.com')).id,
    unknownUser: '00000000-0000-4000-8000-00000000dead',
    ...countsOf(t.db),
    close: () => t.close(),
  };
}
