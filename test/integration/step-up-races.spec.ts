import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SessionService, type AuthUser } from 'nestjs-latchkey';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { startRacers, type Racers } from '../support/racers.js';

describe('step-ups that race in two processes', () => {
  let t: TestApp;
  let ada: AuthUser;
  let sessions: SessionService;
  let racers: Racers;
  beforeAll(async () => {
    t = await startTestApp();
    // The other processes have the time of day.
    t.clock.advance(Date.now() - t.clock.now());
    ada = await createUser(t.app);
    sessions = t.app.get(SessionService);
    racers = await startRacers(t.db.url);
  }, 60_000);
  afterAll(async () => {
    await racers?.stop();
    await t?.close();
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
});
