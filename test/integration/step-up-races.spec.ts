import { beforeAll, describe, expect, it } from '@jest/globals';
import { PostgresUserDirectory, SessionService, type AuthUser } from 'nestjs-latchkey';
import { EmailChangeService } from 'nestjs-latchkey/flows';
import { createUser, NO_LOGIN_LIMITS } from '../support/app.js';
import { MAIL, movedAccount } from '../support/flows.js';
import { sharedRacers } from '../support/racers.js';
import { sharedTestApp } from '../support/shared-app.js';

const t = sharedTestApp({ auth: { ...MAIL, flows: { emailChange: {} }, rateLimits: NO_LOGIN_LIMITS } });

describe('step-ups that race in two processes', () => {
  const racers = sharedRacers(() => t.db.url);
  let ada: AuthUser;
  let sessions: SessionService;
  beforeAll(async () => {
    // The other processes have the time of day.
    t.clock.advance(Date.now() - t.clock.now());
    ada = await createUser(t.app);
    sessions = t.app.get(SessionService);
  });

  it('F84: of 100 for one session exactly one succeeds, with its proof added', async () => {
    for (let round = 0; round < 5; round++) {
      const { session, token } = await sessions.create(ada.id, { aal: 1, amr: ['password'] });
      const elevated = (await racers.run({ kind: 'elevate', times: 50, session })) as string[];
      expect(elevated).toHaveLength(1);
      const found = (await sessions.lookup(elevated[0]!))!.session;
      expect(found).toMatchObject({ handle: session.handle, aal: 2, amr: ['password', 'totp'] });
      expect(await sessions.lookup(token)).toBeNull();
      expect(await sessions.listForUser(ada.id)).toEqual([expect.objectContaining({ handle: session.handle })]);
      await sessions.revokeAllForUser(ada.id);
    }
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    ['a cutoff is set', () => t.app.get(PostgresUserDirectory).invalidateTokens(ada.id, Date.now())],
    [
      'a cutoff is set by another program',
      () => t.db.query('UPDATE users SET tokens_invalidated_after = clock_timestamp()'),
    ],
    ['the session ends', (id) => sessions.revoke(id)],
    ['all of the user end', () => sessions.revokeAllForUser(ada.id)],
  ])('F84: while %s: nothing is left, whichever is first', async (_, end) => {
    for (let round = 0; round < 10; round++) {
      const { session } = await sessions.create(ada.id);
      const [elevated] = await Promise.all([racers.run({ kind: 'elevate', times: 10, session }), end(session.id)]);
      expect(elevated.length).toBeLessThanOrEqual(1);
      expect(await sessions.listForUser(ada.id)).toEqual([]);
    }
  });

  it('F46: while the owner takes a change of address back: the thief has nothing left, whichever is first', async () => {
    for (let round = 0; round < 5; round++) {
      const { user, undo } = await movedAccount(t.app);
      const { session } = await sessions.create(user.id);
      const [elevated] = await Promise.all([
        racers.run({ kind: 'elevate', times: 10, session }),
        t.app.get(EmailChangeService).revert(undo),
      ]);
      expect(elevated.length).toBeLessThanOrEqual(1);
      expect(await sessions.listForUser(user.id)).toEqual([]);
      for (const token of elevated) expect(await sessions.lookup(token as string)).toBeNull();
    }
  });
});
