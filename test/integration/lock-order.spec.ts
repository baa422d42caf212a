import { beforeAll, describe, expect, it } from '@jest/globals';
import { AuthTransaction, PostgresUserDirectory, SessionService, type AuthUser } from 'nestjs-latchkey';
import { createUser } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { until } from '../support/heard.js';

const WAITING = `SELECT l.locktype FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE a.datname = current_database() AND NOT l.granted`;

describe('a transaction that changes an account and then ends its sessions', () => {
  const t = sharedTestApp();
  let users: PostgresUserDirectory;
  let sessions: SessionService;
  beforeAll(() => {
    users = t.app.get(PostgresUserDirectory);
    sessions = t.app.get(SessionService);
  });

  const CHANGES: [string, (user: AuthUser) => Promise<unknown>][] = [
    ['confirmLogin', (user) => users.confirmLogin(user, t.clock.now())],
    [
      'setEmail',
      (user) => users.setEmail(user.id, { from: user.email, to: `new-${user.email}`, verifiedAt: t.clock.now() }),
    ],
    ['verifyEmail', ({ id, email }) => users.verifyEmail(id, { email, verifiedAt: t.clock.now() })],
    ['setRoles', ({ id }) => users.setRoles(id, ['admin'])],
    ['enable', ({ id }) => users.enable(id)],
    ['delete', ({ id }) => users.delete(id)],
  ];

  it.each(CHANGES)('F22: %s: a step-up at the same time waits, which is no deadlock', async (name, change) => {
    const user = await createUser(t.app, `${name.toLowerCase()}@example.com`);
    const { session } = await sessions.create(user.id);
    // Not in the transaction, from which it is told to begin.
    let begin!: () => void;
    const proved = { user, authenticatedAt: t.clock.now(), aal: 2, amr: ['password', 'totp'] } as const;
    const elevation = new Promise<void>((resolve) => (begin = resolve)).then(() => sessions.elevate(session, proved));
    await t.db.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [user.id]);
    let calls = 0;
    let waiting: unknown[] = [];
    await t.app.get(AuthTransaction).run(async () => {
      // After a deadlock it is called again.
      calls++;
      await change(user);
      begin();
      if (calls === 1) await until(async () => (waiting = await t.db.query(WAITING)).length > 0);
      await sessions.revokeAllForUser(user.id);
    });
    // For the lock that comes first, with none of the account in its hands.
    expect(waiting).toEqual([{ locktype: 'advisory' }]);
    expect(calls).toBe(1);
    expect(await elevation).toBeNull();
    expect(await sessions.listForUser(user.id)).toEqual([]);
  });
});
