import { describe, expect, it } from '@jest/globals';
import { days, minutes, PostgresUserDirectory, seconds } from 'nestjs-latchkey';
import { EmailChangeService, PasswordResetService } from 'nestjs-latchkey/flows';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, NO_LOGIN_LIMITS, PASSWORD } from '../support/app.js';
import { ACCOUNT_FLOWS, MAIL } from '../support/flows.js';
import { sharedPairOfApps } from '../support/shared-app.js';
import { enrol, pendingLogin } from '../support/two-factor.js';

const ROUNDS = 20;
const NEW_PASSWORD = 'a password that only Ada knows';
const DEADLOCKS = 'SELECT deadlocks::integer AS n FROM pg_stat_database WHERE datname = current_database()';
const IDLE = `SELECT query FROM pg_stat_activity
  WHERE datname = current_database() AND state LIKE 'idle in transaction%'`;

interface Answer {
  readonly name: string;
  readonly status: number;
  readonly cookie: string | null;
}

describe('everything that can happen to one account at once, over two pools', () => {
  const twoFactor = { totp: {}, backupCodes: { count: 20 }, trustedBrowsers: days(30) };
  const [t, other] = sharedPairOfApps({
    auth: {
      ...MAIL,
      flows: { ...ACCOUNT_FLOWS, twoFactor, apiKeys: { scopes: ['notes:read'] } },
      rateLimits: NO_LOGIN_LIMITS,
      // A fault is what this looks for, not a slow machine.
      database: { timeout: seconds(20) },
    },
  });
  /** Once every mail has gone out. */
  const mails = () => MemoryMailer.of(t.app);
  const users = () => t.app.get(PostgresUserDirectory);
  const advance = (by: number) => {
    t.clock.advance(by);
    other.clock.set(t.clock.now());
  };

  /** An account on its way to a third address, with three sessions, a held login, and links of every kind. */
  async function prepared() {
    const { id, email } = await createUser(t.app);
    const changes = t.app.get(EmailChangeService);
    changes.request({ id }, `second-${email}`);
    await changes.confirm((await mails()).last('email_change').token);
    const undo = (await mails()).last('email_changed').token;
    advance(minutes(1));
    const user = (await users().findById(id))!;
    const { backupCodes: codes, cookie } = await enrol(t, user);
    advance(seconds(1));
    const notMe = (await mails()).last('first_factor_added').token;
    changes.request({ id }, `third-${email}`);
    t.app.get(PasswordResetService).request(user.email);
    const sent = await mails();
    const [confirm, reset] = [sent.last('email_change').token, sent.last('password_reset').token];
    const held = await pendingLogin(t, user);
    const strong = () => signInAs(t.app, id, { aal: 2 });
    return {
      user,
      email,
      undo,
      notMe,
      confirm,
      reset,
      held,
      codes,
      sessions: [cookie, await strong(), await strong()],
    };
  }

  it('F22: no deadlock, no fault, nothing twice, and nobody is in who was thrown out', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const { user, email, undo, notMe, confirm, reset, held, codes, sessions } = await prepared();
      const [first, second, third] = sessions as [string, string, string];
      const send = (name: string, path: string, body: object, cookie = '', method: 'post' | 'delete' = 'post') =>
        Array.from({ length: 4 }, (_, i) => async (): Promise<Answer> => {
          const agent = request((i % 2 ? t : other).url);
          const answer = await agent[method](`/auth/${path}`).set('Cookie', cookie).send(body);
          const set = answer.get('Set-Cookie')?.find((one) => /^__Host-session=./.test(one));
          return { name, status: answer.status, cookie: set?.split(';')[0] ?? null };
        });
      const key = { name: 'Backup', scopes: ['notes:read'], expiresIn: 3_600 };
      const jobs = [
        send('reset', 'reset-password', { token: reset, password: NEW_PASSWORD }),
        send('confirm', 'confirm-email-change', { token: confirm }),
        round % 2 ? [] : send('revert', 'revert-email-change', { token: undo }),
        round % 3 ? [] : send('not me', 'revert-factor', { token: notMe }),
        round % 5 === 3 ? send('delete', 'account', {}, second, 'delete') : [],
        send('step-up', 'step-up', { method: 'backup-code', code: codes[0] }, first),
        send('step-up by password', 'step-up', { method: 'password', password: PASSWORD }, second),
        send('totp off', '2fa/totp/disable', {}, second),
        send('codes', '2fa/backup-codes', {}, third),
        send('complete', '2fa/verify', { token: held.token, method: 'backup-code', code: codes[1] }, held.challenge),
        send('login', 'login', { email: user.email, password: PASSWORD }),
        send('key', 'api-keys', key, first),
        send('password', 'change-password', { currentPassword: PASSWORD, newPassword: 'some other passphrase' }, third),
        round % 3 === 1 ? [] : send('sign out', 'logout-all', {}, first),
      ].flat();
      const inTurn = jobs.map((job) => [Math.random(), job] as const).toSorted(([a], [b]) => a - b);
      const answers = await Promise.all(inTurn.map(([, job]) => job()));
      expect(answers.filter(({ status }) => status >= 500)).toEqual([]);

      const done = (name: string) => answers.filter((one) => one.name === name && one.status < 300).length;
      const once = ['reset', 'confirm', 'revert', 'not me', 'complete', 'step-up'];
      expect(once.filter((name) => done(name) > 1)).toEqual([]);
      const thrownOut = done('reset') + done('revert') + done('not me') + done('delete') > 0;
      if (thrownOut) expect(await alive([...sessions, ...answers.map(({ cookie }) => cookie)])).toEqual([]);
      const now = await users().findById(user.id);
      if (done('delete')) expect(now).toBeNull();
      if (done('revert') && now) expect(now.email).toBe(email);
      for (const { app } of [t, other]) (await MemoryMailer.of(app)).sent.length = 0;
      advance(minutes(30));
    }
    expect(await t.db.query(DEADLOCKS)).toEqual([{ n: 0 }]);
    expect(await t.db.query(IDLE)).toEqual([]);
  }, 300_000);

  async function alive(cookies: readonly (string | null)[]): Promise<string[]> {
    const found = [];
    for (const cookie of cookies) {
      if (cookie === null) continue;
      const { status } = await request(t.url).get('/auth/session').set('Cookie', cookie);
      if (status !== 401) found.push(`${status}`);
    }
    return found;
  }
});
