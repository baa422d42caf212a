import { beforeAll, describe, expect, it } from '@jest/globals';
import type { AuthUser } from 'nestjs-latchkey';
import { totpOf } from 'nestjs-latchkey/testing';
import { createUser } from '../support/app.js';
import { sharedRacers } from '../support/racers.js';
import { sharedTestApp } from '../support/shared-app.js';
import { enrol, TWO_FACTOR } from '../support/two-factor.js';

const t = sharedTestApp({ auth: TWO_FACTOR });

describe('second factors that race in two processes', () => {
  const racers = sharedRacers(() => t.db.url);
  let ada: AuthUser;
  beforeAll(async () => {
    // The other processes have the time of day.
    t.clock.advance(Date.now() - t.clock.now());
    ada = await createUser(t.app);
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
