import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SessionService, type AuthUser } from 'nestjs-latchkey';
import { LoginService, PasskeyLoginService } from 'nestjs-latchkey/flows';
import { totpOf } from 'nestjs-latchkey/testing';
import { createUser } from '../support/app.js';
import { SoftwareAuthenticator } from '../support/authenticator.js';
import { backendsOf, deadlocksOf, provokeDeadlock } from '../support/deadlocks.js';
import { until } from '../support/heard.js';
import { ORIGIN, PasskeyClient, PASSKEYS } from '../support/passkeys.js';
import { startRacers, type Racers } from '../support/racers.js';
import { sharedTestApp } from '../support/shared-app.js';
import { enrol, TWO_FACTOR } from '../support/two-factor.js';

const RACERS = 'racers';
/** Of 25 in each process, none is refused for being one too many. */
const rateLimits = { policies: { '2fa_attempt': { limit: 1_000 } } };

describe('whole logins by one code or assertion, 50 at once in two processes', () => {
  const flows = { ...TWO_FACTOR.flows, ...PASSKEYS.flows };
  const t = sharedTestApp({ auth: { ...TWO_FACTOR, flows } });
  let racers: Racers | undefined;
  let before: number;
  let ada: AuthUser;
  beforeAll(async () => {
    // The other processes have the time of day.
    t.clock.advance(Date.now() - t.clock.now());
    before = await deadlocksOf(t.db);
    racers = await startRacers(`${t.db.url}?application_name=${RACERS}`, 2, [], { rateLimits });
  }, 60_000);
  afterAll(() => racers?.stop());

  const sessionsOf = async ({ id }: AuthUser) => (await t.app.get(SessionService).listForUser(id)).length;
  /** As many held logins as each process takes at once, so that both have each of them. */
  const held = (user: AuthUser) =>
    Promise.all(
      Array.from({ length: 25 }, async () => {
        const login = await t.app.get(LoginService).begin(user, ['password'], { transport: 'bearer' });
        if (login.status !== 'second_factor') throw new Error('Nothing is due.');
        return login.token;
      }),
    );

  it('F49: of 50 second steps by one code of an authenticator exactly one opens a session', async () => {
    ada = await createUser(t.app);
    const { secret } = await enrol(t, ada);
    for (let round = 0; round < 3; round++) {
      // As if the codes of the time of day had not been used.
      await t.db.query('UPDATE auth_totp SET last_step = NULL');
      const [tokens, sessions] = [await held(ada), await sessionsOf(ada)];
      const factor = { method: 'totp', response: totpOf(secret, { now: Date.now }) } as const;
      expect(await racers!.run({ kind: 'second step', times: 25, tokens, factor })).toEqual([ada.id]);
      expect(await sessionsOf(ada)).toBe(sessions + 1);
    }
  });

  it('F52: of 50 second steps by one backup code exactly one opens a session', async () => {
    const bob = await createUser(t.app);
    const { backupCodes } = await enrol(t, bob);
    for (const response of backupCodes.slice(0, 3)) {
      const [tokens, sessions] = [await held(bob), await sessionsOf(bob)];
      const factor = { method: 'backup-code', response } as const;
      expect(await racers!.run({ kind: 'second step', times: 25, tokens, factor })).toEqual([bob.id]);
      expect(await sessionsOf(bob)).toBe(sessions + 1);
    }
  });

  it.each([true, false])(
    'F70: of 50 logins by one assertion exactly one opens a session (counts: %s)',
    async (counts) => {
      const carol = await createUser(t.app);
      const device = new SoftwareAuthenticator(ORIGIN, { counts });
      const { authenticator } = await new PasskeyClient(t).register(carol, { authenticator: device });
      for (let round = 0; round < 3; round++) {
        const sessions = await sessionsOf(carol);
        const { options, browser } = await t.app.get(PasskeyLoginService).start();
        const tokens = [JSON.stringify(authenticator.use(options))];
        const task = { kind: 'passkey', times: 25, tokens, binding: browser.value } as const;
        expect(await racers!.run(task)).toEqual([carol.id]);
        expect(await sessionsOf(carol)).toBe(sessions + 1);
      }
    },
  );

  it('F22: and none of it was a deadlock, which a transaction would have survived unseen', async () => {
    expect(await backendsOf(t.db, RACERS)).toBeGreaterThan(0);
    await racers!.stop();
    racers = undefined;
    await until(async () => (await backendsOf(t.db, RACERS)) === 0);
    expect(await deadlocksOf(t.db)).toBe(before);
    // Control: one is counted.
    await provokeDeadlock(t.db.url);
    await until(async () => (await deadlocksOf(t.db)) > before);
  });
});
