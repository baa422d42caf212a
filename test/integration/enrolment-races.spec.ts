import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Client } from 'pg';
import { PostgresUserDirectory, SessionService, type AuthUser, type Session } from 'nestjs-latchkey';
import { AccountRecovery, EmailCodeService, PasskeyService, TwoFactorService } from 'nestjs-latchkey/flows';
import { MemoryMailer, totpOf } from 'nestjs-latchkey/testing';
import { EnrolledFactors } from '../../src/login/enrolled-factors.js';
import { createUser, NO_LOGIN_LIMITS } from '../support/app.js';
import { SoftwareAuthenticator } from '../support/authenticator.js';
import { BASE_URL, MAIL } from '../support/flows.js';
import { until } from '../support/heard.js';
import { codeTo } from '../support/mailed-codes.js';
import { sharedTestApp } from '../support/shared-app.js';
import { withClient } from '../support/test-server.js';

/** What an enrolment does after its preparations. */
type Enrolment = (user: AuthUser, session: Session) => Promise<() => Promise<unknown>>;

describe('enrolments of second factors while the account changes', () => {
  const t = sharedTestApp({
    auth: {
      ...MAIL,
      flows: {
        emailChange: {},
        passkeys: { rpName: 'Notes' },
        twoFactor: { totp: {}, backupCodes: { count: 4 }, emailCode: {} },
      },
      rateLimits: NO_LOGIN_LIMITS,
    },
  });
  let user: AuthUser;
  let session: Session;
  beforeEach(async () => {
    const { id } = await createUser(t.app);
    user = (await t.app.get(PostgresUserDirectory).findById(id))!;
    const now = t.clock.now();
    ({ session } = await t.app.get(SessionService).create(id, { aal: 1, amr: ['password'], authenticatedAt: now }));
  });

  const ENROLMENTS: readonly (readonly [string, Enrolment])[] = [
    [
      'a passkey',
      async () => {
        const options = await t.app.get(PasskeyService).creationOptions({ user, session });
        const response = new SoftwareAuthenticator(BASE_URL).register(options);
        return () => t.app.get(PasskeyService).register({ user, session }, response);
      },
    ],
    [
      'an authenticator app',
      async () => {
        const { secret } = await t.app.get(TwoFactorService).setUpTotp(session);
        return () => t.app.get(TwoFactorService).enableTotp(session, totpOf(secret, t.clock));
      },
    ],
    [
      'codes by mail',
      async () => {
        await t.app.get(EmailCodeService).start({ user, session });
        const code = await codeTo(t, user, 'email_code_setup');
        return () => t.app.get(EmailCodeService).enable({ user, session }, code);
      },
    ],
  ];
  const methods = () => t.app.get(EnrolledFactors).methodsOf(user);

  /** Changes the account in a transaction that ends when this work waits for it; says how that ends. */
  async function whileLocked(work: () => Promise<unknown>, change: (client: Client) => Promise<void>) {
    return withClient(t.db.url, async (client) => {
      await client.query('BEGIN');
      await client.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [user.id]);
      await change(client);
      const outcome = work().then(
        () => 'done',
        ({ code }: { code?: string }) => code,
      );
      await until(async () => {
        const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
        return (await client.query(waiting)).rowCount === 1;
      });
      await client.query('COMMIT');
      return outcome;
    });
  }

  it.each(ENROLMENTS)(
    'F46: %s: one that has spent its token before the cutoff is seen leaves nothing',
    async (_, of) => {
      const enrol = await of(user, session);
      const outcome = await whileLocked(enrol, async (client) => {
        // The tokens stay, as those of another storage do until the transaction is over.
        const cutoff = new Date(t.clock.now());
        await client.query('UPDATE users SET tokens_invalidated_after = $2 WHERE id = $1', [user.id, cutoff]);
      });
      expect(outcome).toBe('UNAUTHENTICATED');
      expect(await methods()).toEqual([]);
    },
  );

  /** Another factor, in the transaction of this client, which has locked the account as an enrolment does. */
  const ADDED: Record<string, string> = {
    'a passkey': 'INSERT INTO auth_email_factors (user_id, enabled_at) VALUES ($1, $2)',
    'an authenticator app': 'INSERT INTO auth_email_factors (user_id, enabled_at) VALUES ($1, $2)',
    'codes by mail': "INSERT INTO auth_totp (user_id, secret, confirmed_at, created_at) VALUES ($1, 'sealed', $2, $2)",
  };

  it.each(ENROLMENTS)('F55: %s: none beside a factor that is added meanwhile and not proved', async (name, of) => {
    const enrol = await of(user, session);
    const outcome = await whileLocked(enrol, async (client) => {
      await client.query(ADDED[name]!, [user.id, new Date(t.clock.now())]);
    });
    expect(outcome).toBe('STEP_UP_REQUIRED');
    expect(await methods()).toEqual([name === 'codes by mail' ? 'totp' : 'email-code']);
  });

  it.each(ENROLMENTS)('F55: %s: none in a session that has ended meanwhile', async (_, of) => {
    const enrol = await of(user, session);
    await t.app.get(SessionService).revoke(session.id);
    await expect(enrol()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await methods()).toEqual([]);
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    ['a passkey', (id) => t.app.get(PasskeyService).remove({ user, session }, id)],
    ['codes by mail', () => t.app.get(EmailCodeService).disable({ user, session })],
  ])('F55: %s: not removed in a session that has ended meanwhile', async (name, remove) => {
    const enrol = await ENROLMENTS.find(([one]) => one === name)![1](user, session);
    await enrol();
    const [{ id } = { id: '' }] = await t.app.get(PasskeyService).list(user.id);
    const before = await methods();
    // One that has proved enough, so that nothing but its end is in the way.
    const proofs = { aal: 2, amr: ['password', 'email-code'], authenticatedAt: t.clock.now() } as const;
    ({ session } = await t.app.get(SessionService).create(user.id, proofs));
    await t.app.get(SessionService).revoke(session.id);
    await expect(remove(id)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await methods()).toEqual(before);
    // Negative control.
    ({ session } = await t.app.get(SessionService).create(user.id, proofs));
    await remove(id);
    expect(await methods()).toEqual([]);
  });

  it('F46: a thief who moves the account while its owner takes the factor back is out all the same', async () => {
    const enrol = await ENROLMENTS[0]![1](user, session);
    await enrol();
    const { token } = (await MemoryMailer.of(t.app)).last('first_factor_added');
    const recovery = t.app.get(AccountRecovery);
    const outcome = await whileLocked(
      () => recovery.takeBack('factor_revert', token),
      async (client) => {
        const values = [user.id, `moved-${user.id}@evil.example`, new Date(t.clock.now() + 1)];
        await client.query('UPDATE users SET email = $2, email_verified_at = $3 WHERE id = $1', values);
      },
    );
    expect(outcome).toBe('done');
    expect((await t.app.get(PostgresUserDirectory).findById(user.id))!.email).toBe(user.email);
    expect(await methods()).toEqual([]);
    expect((await MemoryMailer.of(t.app)).to(user.email).map(({ kind }) => kind)).toContain('password_reset');
  });

  it.each(ENROLMENTS)('control: %s is enrolled if nothing ends', async (_, of) => {
    const enrol = await of(user, session);
    await enrol();
    expect(await methods()).not.toEqual([]);
  });
});
