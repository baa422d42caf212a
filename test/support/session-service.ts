import { afterAll, beforeAll, beforeEach } from '@jest/globals';
import { SessionService, PostgresUserDirectory, type AuthUser } from 'nestjs-latchkey';
import { createUser, startTestApp, type TestApp } from './app.js';

// What the specs of SessionService share, as live bindings: `useSessions()` fills them in.

export let t: TestApp;
export let sessions: SessionService;
export let users: PostgresUserDirectory;
/** Two accounts that no other test has seen. */
export let ada: AuthUser;
export let bob: AuthUser;

/** One application for the tests of this file, and new accounts for each of them. */
export function useSessions(): void {
  beforeAll(async () => {
    t = await startTestApp();
    sessions = t.app.get(SessionService);
    users = t.app.get(PostgresUserDirectory);
  });
  afterAll(() => t?.close());
  beforeEach(async () => {
    [ada, bob] = [await createUser(t.app), await createUser(t.app)];
    t.queries.reset();
  });
}

/** The row of a session, as it is stored. */
export const rowOf = async (id: string) => (await t.db.query('SELECT * FROM sessions WHERE id = $1', [id]))[0];
