import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { EphemeralTokenService, type EphemeralTokenType } from 'nestjs-latchkey';
import { createUser } from '../support/app.js';
import { sharedRacers } from '../support/racers.js';
import { sharedTestApp } from '../support/shared-app.js';
import { ADA, BUILT_IN, twoResets } from '../support/token-types.js';

const t = sharedTestApp();

describe('processes that race', () => {
  const racers = sharedRacers(() => t.db.url);
  beforeAll(async () => {
    // The other processes have the time of day.
    t.clock.set(Date.now());
    await createUser(t.app, ADA);
  });
  beforeEach(() => t.db.query('TRUNCATE auth_ephemeral_tokens, auth_rate_limit_events'));

  const tokens = () => t.db.query('SELECT * FROM auth_ephemeral_tokens');
  const events = async (where = 'true') =>
    (await t.db.query(`SELECT FROM auth_rate_limit_events WHERE ${where}`)).length;
  const issue = (type: EphemeralTokenType) =>
    t.app.get(EphemeralTokenService).issue(type, BUILT_IN[type as keyof typeof BUILT_IN][0]);

  it.each(Object.entries(BUILT_IN))(
    'R8: %s: of 50 parallel consumers in two processes exactly one wins',
    async (type, [fields, binding]) => {
      const token = await issue(type as EphemeralTokenType);
      const won = await racers.run({ kind: 'consume', type, tokens: [token], binding, times: 25 });
      expect(won).toEqual([fields]);
    },
  );

  it('of 50 issued at once in two processes exactly one is left', async () => {
    const issued = await racers.run({ kind: 'issue', subject: ADA, times: 25 });
    expect(issued.filter((token) => typeof token === 'string')).toHaveLength(50);
    expect(await tokens()).toHaveLength(1);
  });

  it('R39: two different tokens consumed in two processes at once: exactly one wins, every time', async () => {
    for (let round = 0; round < 10; round++) {
      const both = await twoResets(t.db, () => issue('password_reset'));
      expect(await racers.run({ kind: 'consume', type: 'password_reset', tokens: both, times: 10 })).toEqual([
        { username: ADA },
      ]);
    }
  });

  it('negative control: read, then delete, lets several win', async () => {
    let most = 0;
    for (let round = 0; round < 10 && most < 2; round++) {
      await issue('password_reset');
      most = Math.max(most, (await racers.run({ kind: 'read then delete', subject: ADA, times: 25 })).length);
    }
    expect(most).toBeGreaterThan(1);
  });

  it('with limit 5, of 200 parallel attempts in two processes exactly 5 pass', async () => {
    for (let round = 0; round < 5; round++) {
      const passed = await racers.run({ kind: 'limit', subject: `ada ${round}`, times: 100 });
      expect(passed).toEqual([true, true, true, true, true]);
    }
    expect(await events()).toBe(25);
  });

  it('two subjects in either order by two processes: no deadlock, nothing recorded by halves', async () => {
    const passed = await racers.run({ kind: 'both', subject: 'ada', times: 100 });
    expect(passed).toEqual([true, true, true, true, true]);
    expect(await events("event_type = 'login_ip'")).toBe(5);
    expect(await events("event_type = '2fa_attempt'")).toBe(5);
  });

  it('negative control: count, then insert, lets more pass', async () => {
    const passed = await racers.run({ kind: 'count then insert', subject: 'ada', times: 100 });
    expect(passed.length).toBeGreaterThan(5);
  });
});
