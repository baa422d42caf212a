import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EphemeralTokenService, PostgresUserDirectory, SessionService, type AuthUser } from 'nestjs-latchkey';
import { RateLimitStore } from 'nestjs-latchkey/engine';
import { EmailChangeService, RegistrationService } from 'nestjs-latchkey/flows';
import type { Bucket } from '../../src/rate-limit/rate-limit.policy.js';
import { createUser, PASSWORD, startTestApp, type TestApp } from '../support/app.js';
import { startRacers, type Racers } from '../support/racers.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { movedAccount } from '../support/flows.js';
import { engineFor } from '../support/redis-engine.js';
import { accountOf, mailTo, newAddress, REGISTRATION } from '../support/registration.js';
import { DEPLOYMENTS } from '../support/redis-server.js';

describe.each(DEPLOYMENTS)('processes that race on %s', (_name, startServers) => {
  let db: TestDatabase;
  let servers: Awaited<ReturnType<typeof startServers>>;
  let t: TestApp;
  let ada: AuthUser;
  let racers: Racers;
  beforeAll(async () => {
    [db, servers] = await Promise.all([createTestDatabase(), startServers()]);
    t = await startTestApp({
      url: db.url,
      auth: { ...REGISTRATION, flows: { registration: {}, emailChange: {} }, engine: engineFor(db.url, servers.urls) },
    });
    ada = await createUser(t.app, 'ada@example.com');
    // The other processes have the time of day.
    t.clock.advance(Date.now() - t.clock.now());
    racers = await startRacers(db.url, 3, servers.urls);
  }, 60_000);
  afterAll(async () => {
    await racers?.stop();
    await t?.close();
    await Promise.all([db?.drop(), servers?.stop()]);
  });

  it('R8: of 150 consumers of one token in three processes one gets it', async () => {
    const tokens = t.app.get(EphemeralTokenService);
    for (let round = 0; round < 5; round++) {
      const token = await tokens.issue('password_reset', { username: ada.email });
      const got = await racers.run({ kind: 'consume', times: 50, type: 'password_reset', tokens: [token] });
      expect(got).toEqual([{ username: ada.email }]);
    }
  });

  it('F31: of 150 that confirm one registration in three processes one has the account, and its session', async () => {
    for (let round = 0; round < 5; round++) {
      const email = newAddress();
      const { browser } = await t.app.get(RegistrationService).register(email, { password: PASSWORD });
      const { token } = await mailTo(t, email);
      const got = await racers.run({ kind: 'register', times: 50, tokens: [token], binding: browser });
      expect(got).toEqual([(await accountOf(t, email))!.id]);
      expect(await t.app.get(SessionService).listForUser(got[0] as string)).toHaveLength(1);
    }
  });

  it('F84: of 150 step-ups of one session in three processes one succeeds, and a logout meanwhile is not lost', async () => {
    const sessions = t.app.get(SessionService);
    for (let round = 0; round < 5; round++) {
      const { session, token } = await sessions.create(ada.id, { aal: 1, amr: ['password'] });
      const [elevated] = await racers.run({ kind: 'elevate', times: 50, session });
      const found = (await sessions.lookup(elevated as string))!.session;
      expect(found).toMatchObject({ handle: session.handle, aal: 2, amr: ['password', 'totp'] });
      expect(await sessions.lookup(token)).toBeNull();
      expect(await sessions.listForUser(ada.id)).toHaveLength(1);
      const [again] = await Promise.all([
        racers.run({ kind: 'elevate', times: 10, session: found }),
        sessions.revoke(found.id),
      ]);
      expect(again.length).toBeLessThanOrEqual(1);
      expect(await sessions.listForUser(ada.id)).toEqual([]);
    }
  });

  it.each([1, 2, 3, 4, 5])(
    'F46: a step-up while the owner takes a change of address back leaves nothing (%i)',
    async () => {
      const sessions = t.app.get(SessionService);
      const { user, undo } = await movedAccount(t.app);
      const { session } = await sessions.create(user.id);
      const [elevated] = await Promise.all([
        racers.run({ kind: 'elevate', times: 10, session }),
        t.app.get(EmailChangeService).revert(undo),
      ]);
      for (const token of elevated) expect(await sessions.lookup(token as string)).toBeNull();
      expect(await sessions.listForUser(user.id)).toEqual([]);
    },
  );

  it('F84: nor does one while a cutoff is set', async () => {
    const sessions = t.app.get(SessionService);
    const users = t.app.get(PostgresUserDirectory);
    for (let round = 0; round < 10; round++) {
      const { session } = await sessions.create(ada.id);
      await Promise.all([
        racers.run({ kind: 'elevate', times: 10, session }),
        users.invalidateTokens(ada.id, Date.now()),
      ]);
      expect(await sessions.listForUser(ada.id)).toEqual([]);
    }
  });

  it('a limit of five lets five through, of 300 in three processes', async () => {
    for (let round = 0; round < 5; round++) {
      const got = await racers.run({ kind: 'limit', times: 100, subject: `one ${round}` });
      expect(got).toEqual([true, true, true, true, true]);
    }
  });

  it('two limits together let as many through as the smaller one, whatever the order they are asked in', async () => {
    for (let round = 0; round < 3; round++) {
      const got = await racers.run({ kind: 'both', times: 30, subject: `both ${round}` });
      expect(got).toEqual([true, true, true, true, true]);
    }
  });

  it('of random sets of buckets at once: never more than a limit, nothing left by a refusal, and nobody refused where there was room', async () => {
    const store = t.app.get(RateLimitStore);
    let refusals = 0;
    for (let round = 0; round < 60; round++) {
      const buckets: Bucket[] = Array.from({ length: 5 }, (_unused, i) => ({
        event: 'race',
        subject: `${round} ${i}`,
        limit: 1 + ((round + i) % 3),
        window: 60_000,
      }));
      const asked = Array.from({ length: 12 }, () => {
        const some = buckets.filter(() => Math.random() < 0.5);
        return some.length === 0 ? [buckets[0]!] : Math.random() < 0.5 ? some : some.toReversed();
      });
      const answers = await Promise.all(asked.map((some) => store.consume(some, 1_000)));
      const used = new Map<Bucket, number>();
      for (const bucket of buckets) used.set(bucket, (await store.read({ ...bucket, limit: 100 }, 1_000)).used);
      for (const bucket of buckets) {
        const recorded = answers.filter((answer, i) => answer.recorded && asked[i]!.includes(bucket)).length;
        expect(used.get(bucket)).toBe(recorded);
        expect(recorded).toBeLessThanOrEqual(bucket.limit);
      }
      answers.forEach((answer, i) => {
        if (answer.recorded) return;
        refusals++;
        expect(asked[i]!.some((bucket) => used.get(bucket) === bucket.limit)).toBe(true);
      });
    }
    expect(refusals).toBeGreaterThan(100);
  });
});
