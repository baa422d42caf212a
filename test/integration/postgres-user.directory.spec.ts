import { beforeEach, describe, expect, it } from '@jest/globals';
import { PasswordHasher, PostgresUserDirectory, type AuthUser } from 'nestjs-latchkey';
import { normalizeLogin } from 'nestjs-latchkey/engine';
import { userStatements } from '../../src/engines/postgres/postgres-user.statements.js';
import { SchemaNames } from '../../src/schema/schema-names.js';
import { CHEAP_HASHES, createUser, PASSWORD, startTestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { comparedDuring } from '../support/password-hashes.js';
import { withClient } from '../support/test-server.js';

describe('PostgresUserDirectory', () => {
  const t = sharedTestApp();
  const users = () => t.app.get(PostgresUserDirectory);
  let ada: AuthUser;
  beforeEach(async () => {
    await t.db.query('DELETE FROM users');
    ada = await createUser(t.app, 'ada@example.com');
  });

  const hashOf = async (id: string) =>
    (await t.db.query<{ password_hash: string }>('SELECT password_hash FROM users WHERE id = $1', [id]))[0]!
      .password_hash;

  it('stores argon2id, never the password', async () => {
    expect(await hashOf(ada.id)).toMatch(/^\$argon2id\$v=19\$m=8,t=1,p=1\$/);
    expect(JSON.stringify(await t.db.query('SELECT * FROM users'))).not.toContain(PASSWORD);
  });

  it('finds by id and by login, and answers null for what is not there', async () => {
    expect(await users().findById(ada.id)).toMatchObject({ email: 'ada@example.com' });
    expect(await users().findByLogin('ada@example.com')).toMatchObject({ id: ada.id });
    expect(await users().findById('00000000-0000-4000-8000-000000000000')).toBeNull();
    expect(await users().findById('nonsense')).toBeNull();
    expect(await users().findByLogin('nobody@example.com')).toBeNull();
  });

  it('never shows the hash', async () => {
    for (const user of [await users().findById(ada.id), await users().verifyCredentials('ada@example.com', PASSWORD)]) {
      expect(JSON.stringify(user)).not.toContain('argon2');
    }
  });

  it('hashes again when the parameters changed, once, and only over the hash that was verified', async () => {
    const old = await hashOf(ada.id);
    const other = await startTestApp({ url: t.db.url, auth: { password: { ...CHEAP_HASHES, timeCost: 2 } } });
    const directory = other.app.get(PostgresUserDirectory);
    expect(await directory.verifyCredentials('ada@example.com', 'wrong')).toBeNull();
    expect(await hashOf(ada.id)).toBe(old);
    expect(await directory.verifyCredentials('ada@example.com', PASSWORD)).not.toBeNull();
    const rehashed = await hashOf(ada.id);
    expect(rehashed).toMatch(/m=8,t=2,p=1/);
    await directory.verifyCredentials('ada@example.com', PASSWORD);
    expect(await hashOf(ada.id)).toBe(rehashed);

    const hasher = other.app.get(PasswordHasher);
    const hash = hasher.hash.bind(hasher);
    await users().setPassword(ada.id, PASSWORD); // outdated again, for `other`
    hasher.hash = async (password) => {
      await users().setPassword(ada.id, 'changed meanwhile');
      return hash(password);
    };
    await directory.verifyCredentials('ada@example.com', PASSWORD);
    expect(await users().verifyCredentials('ada@example.com', 'changed meanwhile')).not.toBeNull();
    await other.close();
  });

  it('R37: hashes once for a known, an unknown, a disabled and a passwordless account', async () => {
    await createUser(t.app, 'off@example.com').then(({ id }) => users().disable(id));
    await t.db.query(`INSERT INTO users (email, password_hash) VALUES ('oauth@example.com', '')`);
    const compared = await comparedDuring(t, async () => {
      for (const login of ['ada@example.com', 'nobody@example.com', 'off@example.com', 'oauth@example.com']) {
        expect(await users().verifyCredentials(login, 'wrong')).toBeNull();
      }
    });
    expect(compared).toHaveLength(4);
    expect(await users().verifyCredentials('off@example.com', PASSWORD)).toBeNull();
    expect(await users().verifyCredentials('oauth@example.com', '')).toBeNull();
  });

  it.each([
    ['an address without @', 'ada', PASSWORD, 'email'],
    ['an address with a blank', 'a da@example.com', PASSWORD, 'email'],
    ['H19: two mailboxes', 'ada@example.com,eve@example.com', PASSWORD, 'email'],
    ['H19: something invisible', 'a\u202eda@example.com', PASSWORD, 'email'],
    ['14 characters', 'x@example.com', 'zebra lamp 734', 'password', 'WEAK_PASSWORD'],
    ['1025 characters', 'x@example.com', 'x'.repeat(1025), 'password', 'WEAK_PASSWORD'],
    ['an address that is taken, in another spelling', ' ADA@example.com', PASSWORD, 'email'],
  ])('create refuses %s', async (_, email, password, field, code = 'INVALID_INPUT') => {
    await expect(users().create(email, password)).rejects.toMatchObject({
      code,
      facts: { fields: { [field]: expect.any(String) } },
    });
  });

  it('H19: an international domain is one account in every spelling, also where another program stored its letters', async () => {
    const { id, email } = await users().create('user@пример.рф', PASSWORD);
    expect(email).toBe('user@xn--e1afmkfd.xn--p1ai');
    await expect(users().create('user@xn--e1afmkfd.xn--p1ai', PASSWORD)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
    await t.db.query('UPDATE users SET email = $1 WHERE id = $2', ['user@пример.рф', id]);
    for (const typed of ['user@пример.рф', 'USER@xn--e1afmkfd.xn--p1ai']) {
      expect(await users().findByLogin(normalizeLogin(typed))).toMatchObject({ id });
      expect(await users().verifyCredentials(normalizeLogin(typed), PASSWORD)).toMatchObject({ id });
      await expect(users().create(typed, PASSWORD)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    }
  });

  it('15 and 1024 characters are passwords, and every character counts', async () => {
    for (const password of ['zebra lamp 7342', 'ü'.repeat(1024)]) {
      await users().setPassword(ada.id, password);
      expect(await users().verifyCredentials('ada@example.com', password)).not.toBeNull();
      expect(await users().verifyCredentials('ada@example.com', password.slice(0, -1))).toBeNull();
    }
  });

  it('lists accounts by their addresses, in parts, and those that contain something', async () => {
    const at = (name: string) => `${name}@list.example`;
    for (const name of ['b', 'A-1', 'a', 'C'])
      await t.db.query(`INSERT INTO users (email, password_hash) VALUES ($1, '!')`, [at(name)]);
    await users().disable((await users().findByLogin(at('b')))!.id);
    const emails = async (part: object = {}) =>
      (await users().list({ containing: 'LIST.example', limit: 10, ...part })).map(({ email }) => email);
    const all = await emails();
    expect(all.toSorted()).toEqual(['A-1', 'C', 'a', 'b'].map(at));
    expect(all.indexOf(at('b'))).toBeLessThan(all.indexOf(at('C')));
    expect(await emails({ limit: 3 })).toEqual(all.slice(0, 3));
    expect(await emails({ after: all[2]!.toUpperCase() })).toEqual(all.slice(3));
    expect(await emails({ containing: '-1@LIST' })).toEqual([at('A-1')]);
    for (const pattern of ['%', '_', '\\', '\0', 'nobody']) expect(await emails({ containing: pattern })).toEqual([]);
    expect((await users().list({ containing: at('b'), limit: 1 }))[0]).toMatchObject({ disabledAt: t.clock.now() });
  });

  it('a part of the list is read by the index of the addresses, among 20,000 accounts', async () => {
    await t.db.query(
      `INSERT INTO users (email, password_hash) SELECT i || '@many.example', '!' FROM generate_series(1, 20000) i`,
    );
    await t.db.query('ANALYZE users');
    const { text } = userStatements(new SchemaNames(), {}).list('public');
    const plan = await withClient(t.db.url, async (client) => {
      await client.query('SET plan_cache_mode = force_generic_plan');
      await client.query(`PREPARE list (text, text, integer) AS ${text}`);
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN EXECUTE list('5@many.example', NULL, 51)`);
      return rows.map((row) => row['QUERY PLAN']).join('\n');
    });
    expect(plan).toMatch(/Index Scan using users_email_key[^]*Index Cond: \(email >/);
    expect(plan).not.toMatch(/Sort|Seq Scan/);
  });

  it('says when there was nobody to change', async () => {
    const nobody = '00000000-0000-4000-8000-000000000000';
    expect(await users().disable(nobody)).toBe(false);
    expect(await users().enable(nobody)).toBe(false);
    expect(await users().setPassword(nobody, PASSWORD)).toBe(false);
    expect(await users().setPassword('nonsense', PASSWORD)).toBe(false);
  });

  it('two accounts of one address at once: one of them', async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 5 }, () => users().create('new@example.com', PASSWORD)),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });
});
