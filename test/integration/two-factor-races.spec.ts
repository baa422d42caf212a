import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AuthUser } from 'nestjs-latchkey';
import { totpOf } from 'nestjs-latchkey/testing';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { startRacers, type Racers } from '../support/racers.js';
import { enrol, TWO_FACTOR } from '../support/two-factor.js';

describe('second factors that race in two processes', () => {
  let t: TestApp;
  let ada: AuthUser;
  let racers: Racers;
  beforeAll(async () => {
    t = await startTestApp({ auth: TWO_FACTOR });
    // The other processes have the time of day.
    t.clock.advance(Date.now() - t.clock.now());
    ada = await createUser(t.app);
    racers = await startRacers(t.db.url);
  }, 60_000);
  afterAll(async () => {
    await racers?.stop();
    await t?.close();
  });

  it('F49: of 50 uses of one code of an authenticator exactly one counts', async () => {
    const { secret } = await enrol(t, ada);
    for (let round = 0; round < 3; round++) {
      // As if the codes of the time of day had not been used.
      await t.db.query('UPDATE auth_totp SET last_step = NULL');
      const factor = { method: 'totp', response: totpOf(secret, { now: Date.now }) } as const;
      expect(await racers.run({ kind: 'factor', times: 25, subject: ada.id, factor })).toEqual([true]);
    }
  });

  it('F52: of 50 uses of one backup code exactly one counts', async () => {
    const bob = await createUser(t.app);
    const { backupCodes } = await enrol(t, bob);
    for (const response of backupCodes.slice(0, 3)) {
      const factor = { method: 'backup-code', response } as const;
      expect(await racers.run({ kind: 'factor', times: 25, subject: bob.id, factor })).toEqual([true]);
    }
  });
});
