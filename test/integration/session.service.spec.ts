import { createHash, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { days, minutes, seconds, SessionService, TypeOrmUserDirectory, type AuthUser } from 'nestjs-latchkey';
import { FIND_WITH_USER } from '../../src/session/typeorm-session.store.js';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { withClient } from '../support/test-server.js';

let db: TestDatabase;
let t: TestApp;
let sessions: SessionService;
let users: TypeOrmUserDirectory;
let ada: AuthUser;
let bob: AuthUser;

beforeAll(async () => {
  db = await createTestDatabase();
  t = await startTestApp({ url: db.url });
  sessions = t.app.get(SessionService);
  users = t.app.get(TypeOrmUserDirectory);
  bob = await createUser(t.app, 'bob@example.com');
});
afterAll(async () => {
  await t?.close();
  await db?.drop();
});

let accounts = 0;
beforeEach(async () => {
  ada = await createUser(t.app, `ada${++accounts}@example.com`);
  t.queries.reset();
});

const rowOf = async (id: string) => (await db.query('SELECT * FROM sessions WHERE id = $1', [id]))[0];

describe('create (T: 4.3)', () => {
  it('the row id is the SHA-256 of the raw bytes, the token is nowhere in the row', async () => {
    const { token, session } = await sessions.create(ada.id);
    const raw = Buffer.from(token, 'base64url');
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(session.id).toBe(createHash('sha256').update(raw).digest('hex'));
    expect(session.expiresAt).toBe(t.clock.now() + seconds(2_592_000));
    const row = JSON.stringify(await rowOf(session.id));
    for (const form of [token, raw.toString('hex'), raw.toString('base64')]) expect(row).not.toContain(form);
  });

  it('two sessions of one user: different tokens, both valid', async () => {
    const [a, b] = [await sessions.create(ada.id), await sessions.create(ada.id)];
    expect(a.token).not.toBe(b.token);
    expect(await sessions.lookup(a.token)).not.toBeNull();
    expect(await sessions.lookup(b.token)).not.toBeNull();
  });

  it('is one statement', async () => {
    await sessions.create(ada.id);
    expect(t.queries.statements).toHaveLength(1);
  });

  it('cleans what comes from headers', async () => {
    const { session } = await sessions.create(ada.id, {
      userAgent: `a\u0000b\n${'x'.repeat(9999)}`,
      ip: 'y'.repeat(99),
    });
    expect(session.userAgent).toHaveLength(512);
    expect(session.userAgent).toMatch(/^a b x/);
    expect(session.ip).toHaveLength(45);
  });

  it('throws USER_NOT_FOUND for an unknown id', async () => {
    await expect(sessions.create('00000000-0000-4000-8000-000000000000')).rejects.toMatchObject({
      code: 'USER_NOT_FOUND',
    });
    await expect(sessions.create('not a uuid')).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
  });
});

describe('lookup (T: 4.3)', () => {
  it('finds session and user with one prepared statement and one round trip', async () => {
    const { token, session } = await sessions.create(ada.id);
    t.queries.reset();
    const found = await sessions.lookup(token);
    expect(found).toEqual({ session, user: { ...ada, disabledAt: null, tokensInvalidatedAfter: null } });
    expect(t.queries.statements).toHaveLength(1);
    expect(t.queries.statements[0]).toMatch(/JOIN users/);
    expect(t.queries.names).toEqual(['latchkey_session_find_with_user']);
  });

  it.each([
    ['empty', ''],
    ['!!!!', '!!!!'],
    ['a 31-byte token', randomBytes(31).toString('base64url')],
    ['a 33-byte token', randomBytes(33).toString('base64url')],
    ['a padded token', `${randomBytes(32).toString('base64url')}=`],
    ['64 hex characters', randomBytes(32).toString('hex')],
  ])('%s: not found, and no query', async (_, token) => {
    expect(await sessions.lookup(token)).toBeNull();
    expect(t.queries.statements).toEqual([]);
  });

  it('a well-formed unknown token: not found, one query', async () => {
    expect(await sessions.lookup(randomBytes(32).toString('base64url'))).toBeNull();
    expect(t.queries.statements).toHaveLength(1);
  });

  it('R33: the stored hash is no token, in no spelling', async () => {
    const { session } = await sessions.create(ada.id);
    expect(await sessions.lookup(session.id)).toBeNull();
    expect(await sessions.lookup(Buffer.from(session.id, 'hex').toString('base64url'))).toBeNull();
  });

  it('a row with an expiry in the past is not found', async () => {
    const { token, session } = await sessions.create(ada.id);
    await db.query(`UPDATE sessions SET expires_at = '2024-12-31T23:59:59Z' WHERE id = $1`, [session.id]);
    expect(await sessions.lookup(token)).toBeNull();
  });

  it('expires at the exact instant, on the injected clock', async () => {
    const { token, session } = await sessions.create(ada.id);
    const start = t.clock.now();
    t.clock.set(session.expiresAt - 0.001);
    expect(await sessions.lookup(token)).not.toBeNull();
    t.clock.set(session.expiresAt);
    expect(await sessions.lookup(token)).toBeNull();
    t.clock.set(start);
  });

  it('R17: a disabled user has no session, also after being enabled again', async () => {
    const { token } = await sessions.create(ada.id);
    expect(await users.disable(ada.id)).toBe(true);
    expect(await sessions.lookup(token)).toBeNull();
    await users.enable(ada.id);
    expect(await sessions.lookup(token)).toBeNull();
    t.clock.advance(0.001);
    expect(await sessions.lookup((await sessions.create(ada.id)).token)).not.toBeNull();
  });

  it('R17: another program that sets only disabled_at ends the sessions too', async () => {
    const { token } = await sessions.create(ada.id);
    await db.query('UPDATE users SET disabled_at = now() WHERE id = $1', [ada.id]);
    expect(await sessions.lookup(token)).toBeNull();
  });

  it('R17: a deleted user has no session, and the rows are gone', async () => {
    const { token, session } = await sessions.create(ada.id);
    await db.query('DELETE FROM users WHERE id = $1', [ada.id]);
    expect(await sessions.lookup(token)).toBeNull();
    expect(await rowOf(session.id)).toBeUndefined();
  });

  it('a new password ends every session of the account', async () => {
    const { token } = await sessions.create(ada.id);
    await users.setPassword(ada.id, 'a brand new password');
    expect(await sessions.lookup(token)).toBeNull();
    expect(await sessions.listForUser(ada.id)).toEqual([]);
  });

  it('a login that was under way while the password changed has no session', async () => {
    const authenticatedAt = t.clock.now();
    t.clock.advance(5);
    await users.setPassword(ada.id, 'a brand new password');
    t.clock.advance(5);
    const { token } = await sessions.create(ada.id, { authenticatedAt });
    expect(await sessions.lookup(token)).toBeNull();
  });
});

it('the lookup finds its row by the primary key, among 20,000 (1,000,000: bench/lookup-plan.ts)', async () => {
  await db.query(
    `INSERT INTO sessions (id, user_id, expires_at)
     SELECT encode(sha256(i::text::bytea), 'hex'), $1, now() + interval '30 days' FROM generate_series(1, 20000) i`,
    [bob.id],
  );
  await db.query('ANALYZE sessions');
  const plan = await withClient(db.url, async (client) => {
    await client.query(`PREPARE find AS ${FIND_WITH_USER.text}`);
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN EXECUTE find('${'a'.repeat(64)}')`);
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  });
  expect(plan).toContain('Index Scan using sessions_pkey');
  expect(plan).not.toMatch(/Seq Scan on sessions/);
  await sessions.revokeAllForUser(bob.id);
});

describe('a password change against a login with the old password', () => {
  const hold = (sql: string) => withClient(db.url, async (client) => client.query(sql));

  it('a login that read the account before the change is refused, whatever the clocks say', async () => {
    const before = (await users.findById(ada.id))!;
    await users.setPassword(ada.id, 'a brand new password');
    t.clock.advance(seconds(5));
    const login = sessions.create(ada.id, { authenticatedAt: t.clock.now(), user: before });
    await expect(login).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(await sessions.listForUser(ada.id)).toEqual([]);
  });

  it('sessions of a process whose clock is ahead end too, also after disable and enable', async () => {
    for (const endAccess of [
      () => users.setPassword(ada.id, 'a brand new password'),
      () => users.disable(ada.id).then(() => users.enable(ada.id)),
      () => users.invalidateTokens(ada.id, t.clock.now()),
    ]) {
      t.clock.advance(seconds(2));
      const { token } = await sessions.create(ada.id);
      t.clock.advance(-seconds(1.5));
      await endAccess();
      expect(await sessions.lookup(token)).toBeNull();
    }
  });

  it('a login right after the change is valid, also from a process whose clock is behind', async () => {
    await users.setPassword(ada.id, 'a brand new password');
    const user = (await users.verifyCredentials(ada.email, 'a brand new password'))!;
    t.clock.advance(-seconds(2));
    const { token } = await sessions.create(ada.id, { authenticatedAt: t.clock.now(), user });
    expect(await sessions.lookup(token)).not.toBeNull();
    t.clock.advance(seconds(2));
  });

  it('of a change that waits for the row and a login that came in between, the change wins', async () => {
    await hold(
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END $$`,
    );
    await hold(`CREATE TRIGGER slow BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION slow()`);
    const user = (await users.findById(ada.id))!;
    const change = users.setPassword(ada.id, 'a brand new password');
    const logins = await Promise.allSettled(
      Array.from({ length: 20 }, () => sessions.create(ada.id, { authenticatedAt: t.clock.now() + 1000, user })),
    );
    await change;
    await hold('DROP TRIGGER slow ON users');
    await hold('DROP FUNCTION slow');
    for (const login of logins) {
      if (login.status === 'fulfilled') expect(await sessions.lookup(login.value.token)).toBeNull();
    }
    expect(await db.query('SELECT 1 FROM sessions WHERE user_id = $1', [ada.id])).toEqual([]);
  });

  it('200 random races: no session of the old password is left', async () => {
    for (let i = 0; i < 200; i++) {
      const user = (await users.findById(ada.id))!;
      const [login] = await Promise.allSettled([
        sessions.create(ada.id, { authenticatedAt: t.clock.now(), user }),
        users.invalidateTokens(ada.id, t.clock.now()),
      ]);
      if (login.status === 'fulfilled') expect(await sessions.lookup(login.value.token)).toBeNull();
    }
  }, 30_000);

  it('an authentication in the future or that is no instant', async () => {
    const { session } = await sessions.create(ada.id, { authenticatedAt: t.clock.now() + days(100) });
    expect(session.authenticatedAt).toBe(t.clock.now());
    await expect(sessions.create(ada.id, { authenticatedAt: Number.NaN })).rejects.toThrow(TypeError);
  });

  it('the absolute lifetime counts from the authentication', async () => {
    const { session } = await sessions.create(ada.id, { authenticatedAt: t.clock.now() - days(80) });
    expect(session.expiresAt).toBe(t.clock.now() + days(10));
  });
});

it('boot fails where the default isolation level would make the locks inexact', async () => {
  const own = await createTestDatabase();
  const name = new URL(own.url).pathname.slice(1);
  await own.query(`ALTER DATABASE ${name} SET default_transaction_isolation = 'repeatable read'`);
  await expect(startTestApp({ url: own.url })).rejects.toMatchObject({
    code: 'INVALID_CONFIG',
    message: expect.stringContaining("'read committed'"),
  });
  await own.drop();
});

describe('a row of another program, with only the columns of the seed', () => {
  const insert = async (createdAt: string, expiresAt: string) => {
    const raw = randomBytes(32);
    const id = createHash('sha256').update(raw).digest('hex');
    await db.query('INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)', [
      id,
      ada.id,
      createdAt,
      expiresAt,
    ]);
    return raw.toString('base64url');
  };

  it('is a valid session, with a handle, listed and revocable', async () => {
    const token = await insert('2024-12-20T00:00:00Z', '2025-01-20T00:00:00Z');
    const found = await sessions.lookup(token);
    expect(found?.session).toMatchObject({
      createdAt: Date.UTC(2024, 11, 20),
      authenticatedAt: Date.UTC(2024, 11, 20),
      lastSeenAt: Date.UTC(2024, 11, 20),
      absoluteExpiresAt: Date.UTC(2024, 11, 20) + days(90),
    });
    expect(await sessions.listForUser(ada.id)).toHaveLength(1);
    expect(await sessions.revokeByHandle(ada.id, found!.session.handle)).toBe(true);
  });

  it('O1: has an absolute lifetime although its expiry is never', async () => {
    const token = await insert('2024-12-20T00:00:00Z', 'infinity');
    const found = await sessions.lookup(token);
    expect(found?.session.expiresAt).toBe(Date.UTC(2024, 11, 20) + days(90));
    const old = await insert('2024-09-01T00:00:00Z', 'infinity');
    expect(await sessions.lookup(old)).toBeNull();
  });

  it('is extended up to its absolute lifetime', async () => {
    const token = await insert('2024-10-10T00:00:00Z', '2025-01-03T00:00:00Z');
    const found = await sessions.lookup(token);
    const extended = await sessions.maybeExtend(found!.session);
    expect(extended?.expiresAt).toBe(Date.UTC(2024, 9, 10) + days(90));
    expect((await sessions.lookup(token))?.session.expiresAt).toBe(extended!.expiresAt);
  });
});

it('an id that no user can have has no sessions', async () => {
  expect(await sessions.listForUser('nope')).toEqual([]);
  expect(await sessions.revokeAllForUser('nope')).toBe(0);
});

describe('revoke (T: 4.3)', () => {
  it('then not found; again, no error', async () => {
    const { token, session } = await sessions.create(ada.id);
    expect(await sessions.revoke(session.id)).toBe(true);
    expect(await sessions.lookup(token)).toBeNull();
    expect(await sessions.revoke(session.id)).toBe(false);
  });

  it('R3: an opaque session that was revoked is never accepted again', async () => {
    const { token } = await sessions.create(ada.id);
    expect(await sessions.revokeTokens([token, 'garbage', ''])).toBe(1);
    for (const later of [0, minutes(1), days(29)]) {
      t.clock.advance(later);
      expect(await sessions.lookup(token)).toBeNull();
    }
  });

  it('malformed tokens cost no query', async () => {
    expect(await sessions.revokeTokens(['garbage', ''])).toBe(0);
    expect(t.queries.statements.filter((text) => /DELETE/.test(text))).toEqual([]);
  });

  it("R16: by handle, the owner's only; a malformed handle costs no query", async () => {
    const { token, session } = await sessions.create(ada.id);
    expect(await sessions.revokeByHandle(bob.id, session.handle)).toBe(false);
    expect(await sessions.lookup(token)).not.toBeNull();
    t.queries.reset();
    expect(await sessions.revokeByHandle(ada.id, "' OR 1=1")).toBe(false);
    expect(t.queries.statements).toEqual([]);
    expect(await sessions.revokeByHandle(ada.id, session.handle.toUpperCase())).toBe(true);
    expect(await sessions.lookup(token)).toBeNull();
  });

  it('all of a user in one statement, but one where asked, and nobody else', async () => {
    const [kept, other] = [await sessions.create(ada.id), await sessions.create(ada.id)];
    const bobs = await sessions.create(bob.id);
    t.queries.reset();
    expect(await sessions.revokeAllForUser(ada.id, { except: kept.session })).toBe(1);
    expect(t.queries.statements).toHaveLength(1);
    expect(await sessions.lookup(other.token)).toBeNull();
    expect(await sessions.lookup(kept.token)).not.toBeNull();
    expect(await sessions.revokeAllForUser(ada.id)).toBe(1);
    expect(await sessions.revokeAllForUser(ada.id)).toBe(0);
    expect(await sessions.lookup(kept.token)).toBeNull();
    expect(await sessions.lookup(bobs.token)).not.toBeNull();
  });
});

describe('rotate (T: 4.3)', () => {
  it('old token not found, new one works, ids differ', async () => {
    const old = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    expect(await sessions.lookup(old.token)).toBeNull();
    expect((await sessions.lookup(rotated.token))?.session.id).toBe(rotated.session.id);
    expect(rotated.session.id).not.toBe(old.session.id);
  });

  it('of nothing only creates', async () => {
    const { token } = await sessions.rotate(null, ada.id, { authenticatedAt: t.clock.now() });
    expect(await sessions.lookup(token)).not.toBeNull();
  });

  it('when the old session cannot be removed there is no new one (the seed would have made it)', async () => {
    const old = await sessions.create(ada.id);
    await db.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`);
    await db.query(
      `CREATE TRIGGER refuse BEFORE DELETE ON sessions FOR EACH ROW WHEN (OLD.id = '${old.session.id}') EXECUTE FUNCTION refuse()`,
    );
    const rotation = sessions.rotate(old.session, ada.id, { authenticatedAt: t.clock.now() });
    await expect(rotation).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await db.query('DROP TRIGGER refuse ON sessions');
    expect(await sessions.listForUser(ada.id)).toHaveLength(1);
    expect(await sessions.lookup(old.token)).not.toBeNull();
  });

  it('without an authentication, a session revoked meanwhile stays revoked', async () => {
    const { session } = await sessions.create(ada.id);
    await sessions.revoke(session.id);
    expect(await sessions.rotate(session, ada.id)).toBeNull();
  });
});

describe('maybeExtend (T: 4.3)', () => {
  let start: number;
  beforeEach(() => {
    start = t.clock.now();
  });
  afterEach(() => t.clock.set(start));

  it.each([
    ['7 d 0 s left: no write', days(7), false],
    ['6 d 23 h 59 m 59 s left: one write, expiry = now + 30 d', days(7) - seconds(1), true],
    ['29 d left: no write', days(29), false],
  ])('%s', async (_, left, extends_) => {
    const { session, token } = await sessions.create(ada.id);
    t.clock.set(session.expiresAt - left);
    const { session: found } = (await sessions.lookup(token))!;
    t.queries.reset();
    const extended = await sessions.maybeExtend(found);
    expect(t.queries.statements).toHaveLength(extends_ ? 1 : 0);
    expect(extended?.expiresAt).toBe(extends_ ? t.clock.now() + days(30) : undefined);
    expect((await sessions.lookup(token))?.session.expiresAt).toBe(extended?.expiresAt ?? session.expiresAt);
  });

  it('an active session ends with its absolute lifetime, at the exact instant', async () => {
    const { token, session } = await sessions.create(ada.id);
    for (let day = 1; day < 90; day++) {
      t.clock.set(session.createdAt + days(day));
      const found = await sessions.lookup(token);
      expect(found).not.toBeNull();
      await sessions.maybeExtend(found!.session);
    }
    t.clock.set(session.absoluteExpiresAt - 0.001);
    expect(await sessions.lookup(token)).not.toBeNull();
    t.clock.set(session.absoluteExpiresAt);
    expect(await sessions.lookup(token)).toBeNull();
  });

  it('near its absolute lifetime it does not write on every request', async () => {
    const { token, session } = await sessions.create(ada.id);
    await db.query('UPDATE sessions SET expires_at = absolute_expires_at WHERE id = $1', [session.id]);
    t.clock.set(session.createdAt + days(89));
    const found = await sessions.lookup(token);
    t.queries.reset();
    expect(await sessions.maybeExtend(found!.session)).toBeNull();
    expect(t.queries.statements).toEqual([]);
  });

  it('a session revoked since it was read is not brought back', async () => {
    const { session } = await sessions.create(ada.id);
    t.clock.advance(days(24));
    await sessions.revoke(session.id);
    expect(await sessions.maybeExtend(session)).toBeNull();
    expect(await rowOf(session.id)).toBeUndefined();
  });
});

describe('listForUser', () => {
  it('L5: shows no id, no token, no hash, and no dead session', async () => {
    const { token, session } = await sessions.create(ada.id, { ip: '203.0.113.7', userAgent: 'test' });
    await sessions.create(ada.id);
    await db.query(`UPDATE sessions SET expires_at = to_timestamp($2) WHERE user_id = $1 AND id <> $3`, [
      ada.id,
      t.clock.now() / 1000,
      session.id,
    ]);
    const listed = await sessions.listForUser(ada.id);
    expect(listed).toEqual([
      {
        handle: session.handle,
        createdAt: session.createdAt,
        lastSeenAt: session.lastSeenAt,
        authenticatedAt: session.authenticatedAt,
        expiresAt: session.expiresAt,
        absoluteExpiresAt: session.absoluteExpiresAt,
        ip: '203.0.113.7',
        userAgent: 'test',
      },
    ]);
    expect(JSON.stringify(listed)).not.toContain(session.id);
    expect(JSON.stringify(listed)).not.toContain(token);
  });
});

describe('R38: at most 25 sessions a user', () => {
  it('the 26th login ends the least recently used', async () => {
    const first = await sessions.create(ada.id);
    for (let i = 0; i < 24; i++) {
      t.clock.advance(seconds(1));
      await sessions.create(ada.id);
    }
    expect(await sessions.lookup(first.token)).not.toBeNull();
    t.clock.advance(seconds(1));
    await sessions.create(ada.id);
    expect(await sessions.lookup(first.token)).toBeNull();
    expect(await sessions.listForUser(ada.id)).toHaveLength(25);
  });

  it('holds for 50 logins at once; a count-then-insert does not (negative control)', async () => {
    await Promise.all(Array.from({ length: 50 }, () => sessions.create(ada.id)));
    expect(await sessions.listForUser(ada.id)).toHaveLength(25);

    const naive = async () => {
      const [{ n }] = (await db.query('SELECT count(*)::int AS n FROM sessions WHERE user_id = $1', [bob.id])) as [
        { n: number },
      ];
      const id = createHash('sha256').update(randomBytes(32)).digest('hex');
      if (n < 25)
        await db.query(`INSERT INTO sessions (id, user_id, expires_at) VALUES ($1, $2, 'infinity')`, [id, bob.id]);
    };
    await sessions.revokeAllForUser(bob.id);
    await Promise.all(Array.from({ length: 50 }, naive));
    const [{ n }] = (await db.query('SELECT count(*)::int AS n FROM sessions WHERE user_id = $1', [bob.id])) as [
      { n: number },
    ];
    expect(n).toBeGreaterThan(25);
  });
});
