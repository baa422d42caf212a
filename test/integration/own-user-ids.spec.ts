import { Injectable } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  authSchemaFor,
  EphemeralTokenService,
  SessionService,
  TokenRevocationService,
  UserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import { AccountDeletionService, PasswordChangeService, PasswordLogin } from 'nestjs-latchkey/flows';
import request from 'supertest';
import { DataSource } from 'typeorm';
import { startTestApp, type TestApp, type TestAppOptions } from '../support/app.js';
import { latchkey } from '../support/command.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

/** Users in a table with integer ids, read as in the documentation: the id is taken for one of the table's. */
@Injectable()
class CustomerDirectory extends UserDirectory {
  constructor(private readonly dataSource: DataSource) {
    super();
  }
  override verifyCredentials(login: string) {
    return this.findByLogin(login);
  }
  override findByLogin(login: string) {
    return this.find('email = $1', login);
  }
  override findById(id: string) {
    return this.find('id = $1', id);
  }
  protected async find(where: string, value: string): Promise<AuthUser | null> {
    const [row] = await this.dataSource.query<{ id: number; email: string }[]>(
      `SELECT * FROM customers WHERE ${where}`,
      [value],
    );
    return row ? { id: String(row.id), email: row.email } : null;
  }
}

/** Looks before it asks, so that no id is a fault of its database. */
@Injectable()
class CarefulDirectory extends CustomerDirectory {
  override async findById(id: string) {
    return /^\d+$/.test(id) ? super.findById(id) : null;
  }
}

async function customers({ migrated = true } = {}): Promise<TestDatabase> {
  const db = await createTestDatabase({ migrated });
  undo.push(() => db.drop());
  await db.query('CREATE TABLE customers (id integer PRIMARY KEY, email text)');
  await db.query("INSERT INTO customers VALUES (42, 'ada@example.com')");
  return db;
}

async function start(options: TestAppOptions): Promise<TestApp> {
  const t = await startTestApp(options);
  undo.push(() => t.close());
  return t;
}

const MISTAKE = {
  code: 'INVALID_CONFIG',
  facts: {
    mistakes: [expect.stringMatching(/sessions\.user_id has the type uuid.*`npx nestjs-latchkey migrate --user-id/)],
  },
};

describe('users of one’s own with integer ids, on tables of a plain migrate', () => {
  it('the boot is refused with both types where the directory’s database refuses a uuid', async () => {
    const db = await customers();
    await expect(startTestApp({ url: db.url, auth: { users: CustomerDirectory } })).rejects.toMatchObject(MISTAKE);
  });

  it('and where the entities say of which type they are', async () => {
    const db = await customers();
    const { entities } = authSchemaFor({ userId: 'integer' });
    const boot = startTestApp({
      url: db.url,
      entities: [...entities],
      migrations: [],
      auth: { users: CarefulDirectory },
    });
    await expect(boot).rejects.toMatchObject({
      ...MISTAKE,
      message: expect.stringContaining(
        'the type integer: make the tables with `npx nestjs-latchkey migrate --user-id integer`',
      ),
    });
  });

  it('where the boot cannot know, the first login says so, and is no wrong password', async () => {
    const db = await customers();
    const t = await start({ url: db.url, auth: { users: CarefulDirectory } });
    const { body } = await request(t.url)
      .post('/auth/login')
      .send({ email: 'ada@example.com', password: 'x' })
      .expect(500);
    expect(body).toMatchObject({ code: 'INVALID_CONFIG' });
    await expect(t.app.get(SessionService).create('42')).rejects.toMatchObject(MISTAKE);
    // Negative control: nobody's id is nobody's.
    await expect(t.app.get(SessionService).create('43')).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
  });

  it('the remedy works: --revert, then --user-id; then it boots and logs in', async () => {
    const db = await customers();
    const env = { DATABASE_URL: db.url };
    const dry = await latchkey(['migrate', '--revert', '--dry-run'], env);
    expect(dry).toMatchObject({ status: 0, out: expect.stringMatching(/^Would take back:\n[^]*CreateUsers/) });
    expect(await latchkey(['migrate', '--revert'], env)).toMatchObject({ status: 0, err: '' });
    expect(await latchkey(['migrate', '--revert'], env)).toMatchObject({ out: 'Nothing to do: none has run.\n' });
    expect(await latchkey(['migrate', '--user-id', 'integer'], env)).toMatchObject({ status: 0, err: '' });
    const t = await start({ url: db.url, migrations: [], auth: { users: CustomerDirectory } });
    await request(t.url).post('/auth/login').send({ email: 'ada@example.com', password: 'x' }).expect(200);
  }, 60_000);

  it('--revert takes nothing back while there is an account, a session or a revoked token', async () => {
    const db = await customers();
    const env = { DATABASE_URL: db.url };
    await db.query("INSERT INTO users (email, password_hash) VALUES ('bob@example.com', 'x')");
    const refused = await latchkey(['migrate', '--revert'], env);
    expect(refused).toEqual({
      status: 1,
      out: '',
      err: 'The table users has rows, which would be lost: nothing was changed.\n',
    });
    expect(await db.query('SELECT email FROM users')).toHaveLength(1);
    await db.query('DELETE FROM users');
    await db.query("INSERT INTO revoked_tokens VALUES ('x', '2100-01-01')");
    expect((await latchkey(['migrate', '--revert'], env)).err).toContain('The table revoked_tokens has rows');
    expect(await latchkey(['migrate'], env)).toMatchObject({ out: 'Nothing to do: every migration has run.\n' });
  }, 60_000);

  it('a directory over our own table, and one whose ids fit, boot (negative control)', async () => {
    const db = await customers();
    @Injectable()
    class OverOurs extends CustomerDirectory {
      protected override async find() {
        return null;
      }
    }
    await start({ url: db.url, auth: { users: OverOurs } });
    const own = await customers({ migrated: false });
    const { entities, migrations } = authSchemaFor({ userId: 'bigint' });
    await start({
      url: own.url,
      entities: [...entities],
      migrations: [...migrations],
      auth: { users: CustomerDirectory },
    });
  });
});

it('a directory that returns the number of its table as the id: told at the login, and no wrong password', async () => {
  const db = await customers({ migrated: false });
  @Injectable()
  class RawDirectory extends CustomerDirectory {
    protected override async find(where: string, value: string) {
      const user = await super.find(where, value);
      return user && { ...user, id: Number(user.id) as unknown as string };
    }
  }
  const { entities, migrations } = authSchemaFor({ userId: 'integer' });
  const t = await start({ url: db.url, entities, migrations, auth: { users: RawDirectory } });
  const login = { email: 'ada@example.com', password: 'x' };
  const { body } = await request(t.url).post('/auth/login').send(login).expect(500);
  expect(body).toMatchObject({ code: 'INVALID_CONFIG' });
  expect(await db.query('SELECT FROM sessions')).toEqual([]);
});

it('R17: a deletion leaves no row of the account in any table, though no foreign key leads to the host’s', async () => {
  const db = await customers({ migrated: false });
  await db.query("INSERT INTO customers VALUES (43, 'eve@example.com')");
  @Injectable()
  class Deleting extends CustomerDirectory {
    override async delete(id: string): Promise<boolean> {
      return (await db.query(`DELETE FROM customers WHERE id = ${Number(id)} RETURNING id`)).length > 0;
    }
  }
  const { entities, migrations } = authSchemaFor({ userId: 'integer' });
  const auth = { users: Deleting, flows: { accountDeletion: {} } };
  const t = await start({ url: db.url, entities, migrations, auth });
  const tables = await db.query(
    `SELECT table_name AS name FROM information_schema.columns WHERE column_name = 'user_id' AND table_schema = current_schema()`,
  );
  const names = tables.map(({ name }) => String(name)).filter((name) => !name.includes('audit'));
  const rows = async (id: number) => {
    const left: string[] = [];
    for (const name of names) {
      if ((await db.query(`SELECT FROM ${name} WHERE user_id::text = '${id}'`)).length > 0) left.push(name);
    }
    return left.toSorted();
  };
  for (const id of [42, 43]) {
    await t.app.get(SessionService).create(String(id));
    await db.query(
      `INSERT INTO auth_totp (user_id, secret, confirmed_at, created_at) VALUES (${id}, 's', now(), now())`,
    );
    await db.query(
      `INSERT INTO auth_backup_codes (user_id, selector, code_hash, created_at) VALUES (${id}, '012', 'h', now())`,
    );
    await db.query(`INSERT INTO auth_email_factors (user_id, enabled_at) VALUES (${id}, now())`);
    await db.query(`INSERT INTO auth_passkeys (id, user_id, user_handle, credential_id, public_key, name, created_at)
      VALUES (gen_random_uuid(), ${id}, 'h', 'c${id}', '', 'n', now())`);
    await db.query(`INSERT INTO auth_api_keys (user_id, name, prefix, key_hash, scopes, created_at, expires_at)
      VALUES (${id}, 'n', 'p', 'k${id}', '{}', now(), now() + interval '1 day')`);
    await db.query(`INSERT INTO auth_jwt_sessions (jti, user_id, handle, issued_at, expires_at)
      VALUES ('j${id}', ${id}, gen_random_uuid(), now(), now() + interval '1 day')`);
    await db.query(`INSERT INTO auth_password_attempts (user_id, failures) VALUES ('${id}', 1)`);
    await db.query(`INSERT INTO auth_identities (id, user_id, provider, issuer, subject, linked_at)
      VALUES (gen_random_uuid(), ${id}, 'idp', 'https://idp.example', 's${id}', now())`);
    await t.app.get(EphemeralTokenService).issue('email_revert', { account: String(id), from: 'x@y.z', changedAt: 1 });
  }
  const before = await rows(43);
  // Of every table, but for tokens, which name an account otherwise: a table that comes has to have a row above.
  expect(before).toEqual(names.filter((name) => name !== 'auth_ephemeral_tokens').toSorted());
  expect(await t.app.get(AccountDeletionService).delete('42')).toBe(true);
  expect(await rows(42)).toEqual([]);
  // Negative control.
  expect(await rows(43)).toEqual(before);
});

describe('a user id that is none', () => {
  const NOBODY = [undefined, null, '', 42, {}] as unknown as string[];

  it('is a coded error of every service that takes one, not a fault and not "nothing to end"', async () => {
    const db = await createTestDatabase();
    undo.push(() => db.drop());
    const t = await start({ url: db.url });
    const sessions = t.app.get(SessionService);
    const handle = '00000000-0000-4000-8000-000000000000';
    const calls: Record<string, (id: string) => Promise<unknown>> = {
      create: (id) => sessions.create(id),
      rotate: (id) => sessions.rotate({ id: 'a'.repeat(64) }, id),
      listForUser: (id) => sessions.listForUser(id),
      revokeByHandle: (id) => sessions.revokeByHandle(id, handle),
      'SessionService.revokeAllForUser': (id) => sessions.revokeAllForUser(id),
      'TokenRevocationService.revokeAllForUser': (id) => t.app.get(TokenRevocationService).revokeAllForUser(id),
      enable: (id) => t.app.get(PasswordLogin).enable(id),
      changePassword: (id) => t.app.get(PasswordChangeService).changePassword(id, 'current', 'a new passphrase'),
    };
    for (const call of Object.values(calls)) {
      for (const id of NOBODY) {
        await expect(call(id)).rejects.toMatchObject({
          code: 'INVALID_INPUT',
          facts: { fields: { userId: 'must be a string that is not empty' } },
          message: expect.stringMatching(/^The user's id must be a string that is not empty, not .*: pass /),
        });
      }
      // Negative control: a text that is no id of this table is the id of nobody.
      const outcome = await call('nobody').catch((error: unknown) => error);
      expect([[], 0, false, null]).toContainEqual(outcome instanceof Error ? null : outcome);
    }
    await expect(sessions.create('a\0b')).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
  });
});
