import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SessionService, type AuthUser } from 'nestjs-latchkey';
import { LoginService, PasskeyLoginService } from 'nestjs-latchkey/flows';
import { totpOf } from 'nestjs-latchkey/testing';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { PasskeyClient, PASSKEYS } from '../support/passkeys.js';
import { startRacers, type Racers, type Task } from '../support/racers.js';
import { engineFor } from '../support/redis-engine.js';
import { DEPLOYMENTS } from '../support/redis-server.js';
import { enrol, TWO_FACTOR } from '../support/two-factor.js';

describe.each(DEPLOYMENTS)('whole logins by one code or assertion, 50 at once in two processes, on %s', (_, start) => {
  let db: TestDatabase;
  let servers: Awaited<ReturnType<typeof start>>;
  let t: TestApp;
  let racers: Racers;
  let ada: AuthUser;
  let secret: string;
  let backupCodes: readonly string[];
  beforeAll(async () => {
    [db, servers] = await Promise.all([createTestDatabase(), start()]);
    const flows = { ...TWO_FACTOR.flows, ...PASSKEYS.flows };
    t = await startTestApp({ url: db.url, auth: { ...TWO_FACTOR, flows, engine: engineFor(db.url, servers.urls) } });
    // The other processes have the time of day.
    t.clock.advance(Date.now() - t.clock.now());
    // Of 25 in each process, none is refused for being one too many.
    const rateLimits = { policies: { '2fa_attempt': { limit: 1_000 } } };
    racers = await startRacers(db.url, 2, servers.urls, { rateLimits });
    ada = await createUser(t.app);
    ({ secret, backupCodes } = await enrol(t, ada));
  }, 60_000);
  afterAll(async () => {
    await racers?.stop();
    await t?.close();
    await Promise.all([db?.drop(), servers?.stop()]);
  });

  const sessions = async () => (await t.app.get(SessionService).listForUser(ada.id)).length;
  /** As many held logins as each process takes at once, so that both have each of them. */
  const held = () =>
    Promise.all(
      Array.from({ length: 25 }, async () => {
        const login = await t.app.get(LoginService).begin(ada, ['password'], { transport: 'bearer' });
        if (login.status !== 'second_factor') throw new Error('Nothing is due.');
        return login.token;
      }),
    );
  async function exactlyOne(task: Omit<Task, 'times'>): Promise<void> {
    const before = await sessions();
    expect(await racers.run({ ...task, times: 25 })).toEqual([ada.id]);
    expect(await sessions()).toBe(before + 1);
  }

  it('F49: exactly one by one code of an authenticator', async () => {
    for (let round = 0; round < 3; round++) {
      // As if the codes of the time of day had not been used.
      await t.db.query('UPDATE auth_totp SET last_step = NULL');
      const factor = { method: 'totp', response: totpOf(secret, { now: Date.now }) } as const;
      await exactlyOne({ kind: 'second step', tokens: await held(), factor });
    }
  });

  it('F52: exactly one by one backup code', async () => {
    for (const response of backupCodes.slice(0, 3)) {
      await exactlyOne({ kind: 'second step', tokens: await held(), factor: { method: 'backup-code', response } });
    }
  });

  it('F70: exactly one by one assertion of a passkey', async () => {
    const { authenticator } = await new PasskeyClient(t).register(ada);
    for (let round = 0; round < 3; round++) {
      const { options, browser } = await t.app.get(PasskeyLoginService).start();
      const tokens = [JSON.stringify(authenticator.use(options))];
      await exactlyOne({ kind: 'passkey', tokens, binding: browser.value });
    }
  });
});
