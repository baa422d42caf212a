import { AsyncLocalStorage } from 'node:async_hooks';
import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  authSchemaFor,
  AuthTransaction,
  EphemeralTokenService,
  minutes,
  hours,
  PostgresUserDirectory,
  SessionService,
  UserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import { EphemeralTokenStore } from 'nestjs-latchkey/engine';
import { AccountDeletionService, LoginService } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { PreparedStatements } from '../../../src/postgres/prepared-statements.js';
import { AccountLock } from '../../../src/user/account-lock.js';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../../support/app.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { createTestDatabase } from '../../support/database.js';
import { MAIL, newMails } from '../../support/flows.js';
import { until } from '../../support/heard.js';

const WAITING = `SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE a.datname = current_database() AND NOT l.granted`;

describe.each(PLATFORMS)('the deletion of an account on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: { ...MAIL, flows: { accountDeletion: {} }, jwt: { sessions: true } } });
  const heard = eventsHeard(t);
  let ada: AuthUser;
  beforeEach(async () => {
    ada = await createUser(t.app);
    await newMails(t.app);
    heard.length = 0;
  });

  const remove = (cookie: string) => request(t.url).delete('/auth/account').set('Cookie', cookie);
  const login = () => request(t.url).post('/auth/login').send({ email: ada.email, password: PASSWORD });

  it('an id in capitals is that of the same account, with its lock, and told as the directory has it', async () => {
    const held = jest.spyOn(t.app.get(AccountLock), 'hold');
    expect(await t.app.get(AccountDeletionService).delete(ada.id.toUpperCase())).toBe(true);
    expect(held.mock.calls).toEqual([[ada.id]]);
    held.mockRestore();
    expect(heard.filter(({ type }) => type === 'account.deleted')).toEqual([
      { type: 'account.deleted', at: t.clock.now(), userId: ada.id },
    ]);
  });

  it('ends everything that is logged in, clears the cookie, and tells the owner', async () => {
    const [cookie, other] = [await signInAs(t.app, ada.id), await signInAs(t.app, ada.id)];
    const { body } = await request(t.url)
      .post('/auth/token')
      .send({ email: ada.email, password: PASSWORD })
      .expect(200);
    const tokens = t.app.get(EphemeralTokenService);
    const reset = await tokens.issue('password_reset', { username: ada.email });
    const answer = await remove(cookie).expect(200);
    expect(answer.get('Set-Cookie')![0]).toMatch(/Max-Age=0/);
    for (const one of [cookie, other]) await request(t.url).get('/auth/session').set('Cookie', one).expect(401);
    await request(t.url).get('/auth/session').set('Authorization', `Bearer ${body.token}`).expect(401);
    expect(await t.app.get(PostgresUserDirectory).findById(ada.id)).toBeNull();
    expect(await newMails(t.app)).toEqual([
      expect.objectContaining({ kind: 'account_deleted', to: { name: '', address: ada.email } }),
    ]);
    expect(heard.filter(({ type }) => type === 'account.deleted')).toEqual([
      { type: 'account.deleted', at: t.clock.now(), userId: ada.id },
    ]);
    // Whoever has the name next is somebody else.
    await createUser(t.app, ada.email);
    await request(t.url).get('/auth/session').set('Cookie', other).expect(401);
    expect(await tokens.peek('password_reset', reset)).toBeNull();
  });

  it('F42: a session that is not fresh deletes nothing', async () => {
    const cookie = await signInAs(t.app, ada.id, { authenticatedAt: t.clock.now() - minutes(15) });
    const refused = await remove(cookie).expect(401);
    expect(refused.body).toMatchObject({ code: 'STEP_UP_REQUIRED', required: { maxAge: 900 } });
    await login().expect(200);
  });

  it('only the own account, and only with a session', async () => {
    await request(t.url).delete('/auth/account').expect(401);
    await remove(await signInAs(t.app, ada.id))
      .set('Sec-Fetch-Site', 'cross-site')
      .expect(403);
    await login().expect(200);
  });

  it('of ten at once each is answered, and the owner hears of it once', async () => {
    const cookie = await signInAs(t.app, ada.id);
    const statuses = await Promise.all(Array.from({ length: 10 }, async () => (await remove(cookie)).status));
    expect(statuses.filter((status) => ![200, 401].includes(status))).toEqual([]);
    expect(statuses).toContain(200);
    expect(await newMails(t.app)).toHaveLength(1);
    expect(heard.filter(({ type }) => type === 'account.deleted')).toHaveLength(1);
  });

  it('is a change of the account to a login, a renewal and a step-up that were under way, by cookie and by JWT', async () => {
    const logins = t.app.get(LoginService);
    const { session } = await t.app.get(SessionService).create(ada.id, { amr: ['password'] });
    await remove(await signInAs(t.app, ada.id)).expect(200);
    const changed = { code: 'INVALID_CREDENTIALS' };
    for (const transport of ['cookie', 'bearer'] as const) {
      await expect(logins.begin(ada, ['password'], { transport })).rejects.toMatchObject(changed);
      await expect(logins.renew(ada, { transport })).rejects.toMatchObject(changed);
      const raised = logins.elevate(ada, session, ['password'], { transport });
      expect([null, changed.code]).toContain(await raised.catch(({ code }: { code: string }) => code));
    }
  });

  it('leaves no token of an address that the account gets meanwhile', async () => {
    const users = t.app.get(PostgresUserDirectory);
    const tokens = t.app.get(EphemeralTokenService);
    const email = `moved-${ada.email}`;
    const move = () =>
      t.app.get(AuthTransaction).run(async () => {
        await t.app.get(AccountLock).hold(ada.id);
        await users.setEmail(ada.id, { from: ada.email, to: email, verifiedAt: t.clock.now() });
        // Nobody is left to issue it for, if the account is gone by then.
        await tokens.issue('password_reset', { username: email }).catch(() => null);
      });
    const outside = AsyncLocalStorage.snapshot();
    const cookie = await signInAs(t.app, ada.id);
    const findById = users.findById.bind(users);
    let isMoved = false;
    let moving: Promise<unknown> | undefined;
    const waits = async () => isMoved || (await t.db.query(WAITING)).length > 0;
    const found = jest.spyOn(users, 'findById').mockImplementation(async (id) => {
      const user = await findById(id);
      if (!t.app.get(PreparedStatements).inTransaction || moving) return user;
      moving = outside(move).finally(() => (isMoved = true));
      await until(waits);
      return user;
    });
    try {
      await remove(cookie).expect(200);
    } finally {
      found.mockRestore();
    }
    await moving;
    const left = t.app.get(EphemeralTokenStore).countOfType(email, 'password_reset', t.clock.now(), null);
    expect([moving !== undefined, await left]).toEqual([true, 0]);
  });

  it('F22: while the row cannot be deleted everything stays', async () => {
    const cookie = await signInAs(t.app, ada.id);
    await t.db.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`);
    await t.db.query(`CREATE TRIGGER refuse BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION refuse()`);
    const refused = await remove(cookie).expect(503);
    expect(refused.get('Set-Cookie')).toBeUndefined();
    await t.db.query('DROP TRIGGER refuse ON users');
    await t.db.query('DROP FUNCTION refuse');
    expect(await newMails(t.app)).toEqual([]);
    await request(t.url).get('/auth/session').set('Cookie', cookie).expect(200);
    await login().expect(200);
  });
});

describe('the deletion of an account in a directory of the application', () => {
  class OnlyAda extends UserDirectory {
    static isThere = true;
    override async findById(id: string): Promise<AuthUser | null> {
      return OnlyAda.isThere && id === '42' ? { id, email: 'ada@example.com' } : null;
    }
    override findByLogin(): Promise<AuthUser | null> {
      return this.findById('42');
    }
    override verifyCredentials(): Promise<AuthUser | null> {
      return this.findById('42');
    }
    override async delete(): Promise<boolean> {
      return !(OnlyAda.isThere = !OnlyAda.isThere);
    }
  }

  it('R17: a JWT that another process has in memory ends with it', async () => {
    const db = await createTestDatabase({ migrated: false });
    const auth = {
      users: OnlyAda,
      flows: { accountDeletion: {} },
      cache: { enabled: true, ttl: hours(1) },
      jwt: { sessions: true },
    };
    const start = () => startTestApp({ url: db.url, ...authSchemaFor({ userId: 'integer' }), auth });
    const [a, b] = [await start(), await start()];
    try {
      const issue = async () =>
        `Bearer ${(await request(a.url).post('/auth/token').send({ email: 'ada', password: PASSWORD }).expect(200)).body.token}`;
      const [one, other] = [await issue(), await issue()];
      b.clock.set(a.clock.now());
      const status = async () => (await request(b.url).get('/auth/session').set('Authorization', other)).status;
      await until(async () => {
        b.queries.reset();
        return (await status()) === 200 && b.queries.statements.length === 0; // from memory
      });
      await request(a.url).delete('/auth/account').set('Authorization', one).expect(200);
      await until(async () => (await status()) === 401);
    } finally {
      await b.close();
      await a.close();
      await db.drop();
    }
  });
});
