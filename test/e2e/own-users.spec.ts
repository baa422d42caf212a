import { Controller, Get, Injectable } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import {
  AuthTransaction,
  authSchemaFor,
  CurrentUser,
  days,
  EphemeralTokenService,
  UserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import { InvalidationChannel } from 'nestjs-latchkey/engine';
import { AdminService, PasswordLogin, SecondFactor } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { DataSource } from 'typeorm';
import { startTestApp } from '../support/app.js';
import { PasswordWriter } from '../../src/login/password-writer.js';
import { cleanupsAfterEach } from '../support/cleanups.js';
import { cookieOf } from '../support/cookies.js';
import { createTestDatabase } from '../support/database.js';
import { cookiesIn } from '../support/two-factor.js';

@Controller('things')
class ThingsController {
  @Get()
  guarded(@CurrentUser('email') email: string | null) {
    return { email };
  }
}

const cleanups = cleanupsAfterEach();

describe("a host's own directory and user table, end to end", () => {
  interface Account {
    id: number;
    login: string;
    pin: string;
    blocked: boolean;
  }

  @Injectable()
  class AccountDirectory extends UserDirectory {
    constructor(private readonly dataSource: DataSource) {
      super();
    }
    override findById(id: string) {
      return this.find('id::text = $1', id);
    }
    override findByLogin(login: string) {
      return this.find('login = $1', login);
    }
    override async verifyCredentials(login: string, password: string): Promise<AuthUser | null> {
      const [account] = await this.dataSource.query<Account[]>('SELECT * FROM accounts WHERE login = $1', [login]);
      return account && account.pin === password ? this.findById(String(account.id)) : null;
    }
    private async find(where: string, value: string): Promise<AuthUser | null> {
      const [account] = await this.dataSource.query<Account[]>(`SELECT * FROM accounts WHERE ${where}`, [value]);
      return account ? { id: String(account.id), email: account.login, disabledAt: account.blocked ? 1 : null } : null;
    }
  }

  @Injectable()
  class AdminDirectory extends AccountDirectory {
    constructor(private readonly source: DataSource) {
      super(source);
    }
    override async setPasswordHash(id: string, hash: string) {
      await this.source.query('UPDATE accounts SET pin = $2 WHERE id::text = $1', [id, hash]);
      return true;
    }
    override async list() {
      return [];
    }
    override async disable(id: string) {
      await this.source.query('UPDATE accounts SET blocked = true WHERE id::text = $1', [id]);
      return true;
    }
    override async enable(id: string) {
      await this.source.query('UPDATE accounts SET blocked = false WHERE id::text = $1', [id]);
      return true;
    }
  }

  const adaAndBob = async () => {
    const db = await createTestDatabase({ migrated: false });
    cleanups.push(() => db.drop());
    await db.query(
      'CREATE TABLE accounts (id integer PRIMARY KEY, login text, pin text, blocked boolean DEFAULT false)',
    );
    await db.query("INSERT INTO accounts VALUES (42, 'ada', '1234'), (43, 'bob', '1234')");
    return db;
  };

  it('an operator disables somebody: every session has ended, also once the account is enabled again', async () => {
    const db = await adaAndBob();
    const t = await startTestApp({
      url: db.url,
      ...authSchemaFor({ userId: 'integer' }),
      auth: { users: AdminDirectory, cache: { enabled: true }, flows: { admin: { routes: false } } },
      controllers: [ThingsController],
    });
    cleanups.push(() => t.close());
    const cookie = await signInAs(t.app, '43');
    const status = async () => (await request(t.url).get('/things').set('Cookie', cookie)).status;
    expect(await status()).toBe(200);
    const admin = t.app.get(AdminService);
    await admin.disable('43', { id: '42', ip: null });
    expect(await status()).toBe(401);
    await admin.enable('43', { id: '42', ip: null });
    expect(await status()).toBe(401);
    expect((await admin.findUser('43')).sessions).toEqual([]);
    const again = await signInAs(t.app, '43');
    await request(t.url).get('/things').set('Cookie', again).expect(200);
  });

  @Injectable()
  class Badge extends SecondFactor {
    readonly method = 'badge';
    override async isEnrolled() {
      return true;
    }
    override async verify(_user: AuthUser, response: string) {
      return response === '271828';
    }
  }

  it.each(['an operator ends everything', 'the user signs out everywhere', 'there is another password'])(
    '%s: without cutoffs too, a held login and mailed links are over, and no browser is trusted',
    async (who) => {
      const db = await adaAndBob();
      const t = await startTestApp({
        url: db.url,
        ...authSchemaFor({ userId: 'integer' }),
        auth: {
          users: AdminDirectory,
          secondFactors: [Badge],
          flows: { admin: { routes: false }, twoFactor: { trustedBrowsers: days(30) } },
        },
      });
      cleanups.push(() => t.close());
      const post = (path: string, body: object, cookies = '') =>
        request(t.url).post(`/auth/${path}`).set('Cookie', cookies).send(body);
      let password = '1234';
      const logIn = (cookies?: string) => post('login', { email: 'bob', password }, cookies);
      const proofOf = (held: Response, more = {}) =>
        post('2fa/verify', { token: held.body.token, method: 'badge', code: '271828', ...more }, cookiesIn(held));
      const browser = cookiesIn(await proofOf(await logIn(), { trustBrowser: true }));
      const trusted = browser.split('; ').find((cookie) => cookie.includes('-trusted='))!;
      expect((await logIn(trusted)).body.status).toBe('authenticated');

      const held = await logIn();
      expect(held.body.status).toBe('second_factor');
      const tokens = t.app.get(EphemeralTokenService);
      const mailed = {
        password_reset: await tokens.issue('password_reset', { username: 'bob' }),
        magic_link: await tokens.issue('magic_link', { username: 'bob', account: '43', codeHash: 'a'.repeat(64) }),
        email_change: await tokens.issue('email_change', { username: 'bob', account: '43', from: 'bob', to: 'b@x.y' }),
      };
      const others = await tokens.issue('password_reset', { username: 'ada' });
      if (who === 'an operator ends everything') {
        await t.app.get(AdminService).endSessions('43', { id: '42', ip: null });
      } else if (who === 'there is another password') {
        await t.app.get(AuthTransaction).run(() => t.app.get(PasswordWriter).replace('43', '5678', password));
        password = '5678';
      } else {
        await post('logout-all', {}, await signInAs(t.app, '43', { proofs: ['password', 'badge'] })).expect(200);
      }
      expect((await proofOf(held)).status).toBe(401);
      expect((await logIn(trusted)).body.status).toBe('second_factor');
      for (const type of ['password_reset', 'magic_link', 'email_change'] as const) {
        expect([type, await tokens.peek(type, mailed[type])]).toEqual([type, null]);
      }
      // Negative control.
      expect(await tokens.peek('password_reset', others)).not.toBeNull();
    },
  );

  it.each(['integer', 'text', 'uuid'] as const)('keyed by %s: login, guard, list, logout, blocked', async (userId) => {
    const id = { integer: '42', text: 'acct_42', uuid: '00000000-0000-4000-8000-000000000042' }[userId];
    const db = await createTestDatabase({ migrated: false });
    cleanups.push(() => db.drop());
    await db.query(
      `CREATE TABLE accounts (id ${userId} PRIMARY KEY, login text, pin text, blocked boolean DEFAULT false)`,
    );
    await db.query('INSERT INTO accounts VALUES ($1, $2, $3)', [id, 'ada', 'four digits']);
    const schema = authSchemaFor({ userId });
    const t = await startTestApp({
      url: db.url,
      ...schema,
      auth: { users: AccountDirectory },
      controllers: [ThingsController],
    });
    cleanups.push(() => t.close());

    const login = await request(t.url).post('/auth/login').send({ email: 'ADA', password: 'four digits' }).expect(200);
    expect(login.body.user).toEqual({ id, email: 'ada' });
    const cookie = cookieOf(login);
    await request(t.url).get('/things').set('Cookie', cookie).expect(200);
    expect((await request(t.url).get('/auth/sessions').set('Cookie', cookie).expect(200)).body).toHaveLength(1);
    await request(t.url).post('/auth/login').send({ email: 'ada', password: 'wrong' }).expect(401);
    await db.query('UPDATE accounts SET blocked = true');
    // Nobody knows of the host's table but the host.
    await t.app.get(InvalidationChannel).publish({ users: [id] });
    await request(t.url).get('/things').set('Cookie', cookie).expect(401);
    await request(t.url).post('/auth/login').send({ email: 'ada', password: 'four digits' }).expect(401);
    await db.query('UPDATE accounts SET blocked = false');
    await t.app.get(InvalidationChannel).publish({ users: [id] });
    await request(t.url).post('/auth/logout').set('Cookie', cookie).expect(200);
    await request(t.url).get('/things').set('Cookie', cookie).expect(401);
    await db.query('DELETE FROM accounts');
  });

  it.each(['integer', 'text'] as const)('H14: keyed by %s: failures in a row, and the reset', async (userId) => {
    const db = await createTestDatabase({ migrated: false });
    cleanups.push(() => db.drop());
    await db.query(
      `CREATE TABLE accounts (id ${userId} PRIMARY KEY, login text, pin text, blocked boolean DEFAULT false)`,
    );
    await db.query(`INSERT INTO accounts VALUES ('42', 'ada', 'four digits')`);
    const t = await startTestApp({ url: db.url, ...authSchemaFor({ userId }), auth: { users: AccountDirectory } });
    cleanups.push(() => t.close());
    const logIn = (password: string) => request(t.url).post('/auth/login').send({ email: 'ada', password });
    for (let i = 0; i < 100; i++) await logIn('wrong').expect(401);
    await logIn('four digits').expect(401);
    expect(await t.app.get(PasswordLogin).enable('42')).toBe(true);
    await logIn('four digits').expect(200);
  });
});
