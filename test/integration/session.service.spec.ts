import { createHash, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthEvents,
  days,
  minutes,
  seconds,
  SessionService,
  PostgresUserDirectory,
  type AuthEvent,
  type AuthUser,
  type Session,
} from 'nestjs-latchkey';
import { FIND_WITH_USER } from '../../src/engines/postgres/postgres-session.statements.js';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { withClient } from '../support/test-server.js';
import { VARIANT } from '../support/variant.js';

let db: TestDatabase;
let t: TestApp;
let sessions: SessionService;
let users: PostgresUserDirectory;
let ada: AuthUser;
let bob: AuthUser;

beforeAll(async () => {
  db = await createTestDatabase();
  t = await startTestApp({ url: db.url });
  sessions = t.app.get(SessionService);
  users = t.app.get(PostgresUserDirectory);
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

/** What is told of reuse while `work` runs. */
async function eventsDuring(work: () => Promise<unknown>): Promise<AuthEvent[]> {
  const heard: AuthEvent[] = [];
  const off = t.app.get(AuthEvents).on((event) => void (event.type === 'session.reuse_detected' && heard.push(event)));
  await work();
  off();
  return heard;
}

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

it('the lookup finds its row by the primary key, among 20,000 (5,000,000: npm run bench -- scale)', async () => {
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

  it('is rotated as any other, and its own program refuses the old token', async () => {
    const token = await insert('2024-12-20T00:00:00Z', 'infinity');
    const { session } = (await sessions.lookup(token))!;
    const rotated = (await sessions.rotate(session, ada.id))!;
    expect(rotated.session).toMatchObject({
      handle: session.handle,
      authenticatedAt: Date.UTC(2024, 11, 20),
      absoluteExpiresAt: Date.UTC(2024, 11, 20) + days(90),
    });
    expect((await sessions.lookup(token))?.successor).toBe(rotated.token);
    const read = 'SELECT id FROM sessions WHERE id = $1 AND expires_at > to_timestamp($2)';
    const now = t.clock.now() / 1000;
    expect(await db.query(read, [session.id, now])).toEqual([]);
    expect(await db.query(read, [rotated.session.id, now])).toHaveLength(1);
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
    const { token, session } = await sessions.create(ada.id);
    expect(await sessions.revokeTokens([token, 'garbage', ''])).toEqual([{ userId: ada.id, handle: session.handle }]);
    for (const later of [0, minutes(1), days(29)]) {
      t.clock.advance(later);
      expect(await sessions.lookup(token)).toBeNull();
    }
  });

  it('malformed tokens cost no query', async () => {
    expect(await sessions.revokeTokens(['garbage', ''])).toEqual([]);
    expect(t.queries.statements).toEqual([]);
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
  it('R1: at a login the old token is not found, and nobody hears of it', async () => {
    const heard = await eventsDuring(async () => {
      const old = await sessions.create(ada.id);
      const login = await sessions.rotate(old.session, ada.id, { authenticatedAt: t.clock.now() });
      expect(await sessions.lookup(old.token)).toBeNull();
      expect((await sessions.lookup(login.token))?.session.id).toBe(login.session.id);
      expect(login.session.id).not.toBe(old.session.id);
      expect(login.session.handle).not.toBe(old.session.handle);
      expect(await rowOf(old.session.id)).toBeUndefined();
    });
    expect(heard).toEqual([]);
  });

  it('R1: a login over a session that was rotated ends that session, whichever of its tokens came along', async () => {
    for (const which of [0, 1] as const) {
      const old = await sessions.create(ada.id);
      const rotated = (await sessions.rotate(old.session, ada.id))!;
      await sessions.rotate([old, rotated][which]!.session, bob.id, { authenticatedAt: t.clock.now() });
      expect(await sessions.lookup(old.token)).toBeNull();
      expect(await sessions.lookup(rotated.token)).toBeNull();
    }
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

describe('pain 3: a rotation logs no tab out', () => {
  const GRACE = seconds(30);

  it('in its grace the old token leads to the new session and names the new token, the same for everybody', async () => {
    const old = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    expect(rotated.session).toMatchObject({ handle: old.session.handle, authenticatedAt: old.session.authenticatedAt });
    const expected = { session: rotated.session, user: (await sessions.lookup(rotated.token))!.user };
    expect(await sessions.lookup(rotated.token)).toEqual(expected);
    t.clock.advance(GRACE - 0.001);
    const found = await Promise.all(Array.from({ length: 10 }, () => sessions.lookup(old.token)));
    for (const each of found) expect(each).toEqual({ ...expected, successor: rotated.token });
  });

  it('of 50 parallel rotations all get the same token and session, which is live; no other row is', async () => {
    const { session } = await sessions.create(ada.id);
    const results = await Promise.all(Array.from({ length: 50 }, () => sessions.rotate(session, ada.id)));
    for (const result of results) expect(result).toEqual(results[0]);
    expect((await sessions.lookup(results[0]!.token))?.session).toEqual(results[0]!.session);
    expect(await sessions.listForUser(ada.id)).toHaveLength(1);
    const rows = await db.query('SELECT rotated_at FROM sessions WHERE user_id = $1', [ada.id]);
    expect(rows.filter((row) => row['rotated_at'] === null)).toHaveLength(1);
    expect(rows).toHaveLength(2);
  });

  it('a chain of rotations leads to its live end, each link for its own grace', async () => {
    const first = await sessions.create(ada.id);
    const second = (await sessions.rotate(first.session, ada.id))!;
    t.clock.advance(GRACE - 1);
    const third = (await sessions.rotate(second.session, ada.id))!;
    expect(await sessions.lookup(first.token)).toMatchObject({ session: third.session, successor: third.token });
    expect(await sessions.rotate(first.session, ada.id)).toEqual(third);
    t.clock.advance(1);
    expect(await sessions.rotate(first.session, ada.id)).toBeNull();
    expect((await sessions.lookup(second.token))?.successor).toBe(third.token);
  });

  it('a chain is followed as far as the rotated rows are kept, and beyond it the live end is not harmed', async () => {
    const chain = [await sessions.create(ada.id)];
    for (let i = 1; i <= 26; i++) {
      t.clock.advance(1);
      chain.push((await sessions.rotate(chain.at(-1)!.session, ada.id))!);
    }
    const last = chain.at(-1)!;
    expect(await sessions.lookup(chain[0]!.token)).toBeNull();
    expect((await sessions.lookup(chain[1]!.token))?.successor).toBe(last.token);
    expect(await sessions.lookup(last.token)).not.toBeNull();
  });

  it('the token is nowhere in the table', async () => {
    const old = await sessions.create(ada.id);
    const { token } = (await sessions.rotate(old.session, ada.id))!;
    const row = await rowOf(old.session.id);
    expect(row!['successor']).toMatch(/^[\w-]{90,}$/);
    const raw = Buffer.from(token, 'base64url');
    const text = JSON.stringify(row) + Buffer.from(String(row!['successor']), 'base64url').toString('latin1');
    for (const form of [token, raw.toString('hex'), raw.toString('latin1')]) expect(text).not.toContain(form);
  });

  it('what was sealed for one session does not open in the row of another', async () => {
    const [mine, other] = [await sessions.create(ada.id), await sessions.create(bob.id)];
    await sessions.rotate(mine.session, ada.id);
    await sessions.rotate(other.session, bob.id);
    await db.query('UPDATE sessions SET successor = (SELECT successor FROM sessions WHERE id = $2) WHERE id = $1', [
      mine.session.id,
      other.session.id,
    ]);
    expect(await sessions.lookup(mine.token)).toBeNull();
  });

  it('also in a process whose clock is behind or ahead the old token is no session of its own', async () => {
    const old = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    t.clock.advance(-seconds(20));
    expect((await sessions.lookup(old.token))?.successor).toBe(rotated.token);
    t.clock.advance(seconds(20));
  });

  it('a rotation of a session that is rotated, for another user: none', async () => {
    const old = await sessions.create(ada.id);
    await sessions.rotate(old.session, ada.id);
    expect(await sessions.rotate(old.session, bob.id)).toBeNull();
  });

  it('signed tokens (seed 004) have the same grace', async () => {
    const own = await startTestApp({ url: db.url, auth: { session: { tokenFormat: 'signed' } } });
    const service = own.app.get(SessionService);
    const old = await service.create(ada.id);
    const rotated = (await service.rotate(old.session, ada.id))!;
    expect((await service.lookup(old.token))?.successor).toBe(rotated.token);
    expect(await service.rotate(old.session, ada.id)).toEqual(rotated);
    await own.close();
  });

  it('a lookup costs one statement, and one more for each rotation since', async () => {
    const chain = [await sessions.create(ada.id)];
    for (let i = 0; i < 3; i++) chain.push((await sessions.rotate(chain.at(-1)!.session, ada.id))!);
    for (const [i, { token }] of chain.toReversed().entries()) {
      t.queries.reset();
      await sessions.lookup(token);
      // From memory the end of the chain costs none; what was rotated is always read.
      expect(t.queries.statements).toHaveLength(VARIANT === 'cached' && i > 0 ? i : i + 1);
      expect(t.queries.writes).toEqual([]);
    }
  });

  it('with maxPerUser 1 the grace works as well', async () => {
    const own = await startTestApp({ url: db.url, auth: { session: { maxPerUser: 1 } } });
    const service = own.app.get(SessionService);
    const old = await service.create(ada.id);
    const rotated = (await service.rotate(old.session, ada.id))!;
    expect((await service.lookup(old.token))?.successor).toBe(rotated.token);
    await own.close();
  });

  it('with another secret in its place the old token is refused, and the session lives on', async () => {
    const old = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    const own = await startTestApp({ url: db.url, auth: { secrets: ['another secret that is long enough: 987654'] } });
    expect(await own.app.get(SessionService).lookup(old.token)).toBeNull();
    expect(await own.app.get(SessionService).lookup(rotated.token)).not.toBeNull();
    await own.close();
  });

  it.each<[string, (session: Session, token: string) => Promise<unknown>]>([
    ['revoked by its id', (session) => sessions.revoke(session.id)],
    ['revoked by the old token', (_, token) => sessions.revokeTokens([token])],
    ['revoked by its handle', (session) => sessions.revokeByHandle(session.userId, session.handle)],
    ['revoked with all', (session) => sessions.revokeAllForUser(session.userId)],
    ['ended by a new password', (session) => users.setPassword(session.userId, 'a brand new password')],
    ['ended with the account', (session) => users.disable(session.userId)],
  ])('R18: %s, it is over for both tokens, and cannot be rotated', async (_, end) => {
    const heard = await eventsDuring(async () => {
      const old = await sessions.create(ada.id);
      const rotated = (await sessions.rotate(old.session, ada.id))!;
      await end(old.session, old.token);
      expect(await sessions.lookup(old.token)).toBeNull();
      expect(await sessions.lookup(rotated.token)).toBeNull();
      expect(await sessions.rotate(old.session, ada.id)).toBeNull();
      expect(await sessions.rotate(rotated.session, ada.id)).toBeNull();
      t.clock.advance(GRACE);
      expect(await sessions.lookup(old.token)).toBeNull();
    });
    expect(heard).toEqual([]);
  });

  it('revoking answers the sessions there were: the rotated ones are none', async () => {
    const old = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    const ended = await sessions.revokeTokens([old.token, rotated.token]);
    expect(ended).toEqual([{ userId: ada.id, handle: rotated.session.handle }]);
    expect(await sessions.revokeTokens([old.token, rotated.token])).toEqual([]);
  });

  it('100 races of a new password and a rotation leave no session, also where the clock is ahead', async () => {
    for (let i = 0; i < 100; i++) {
      t.clock.advance(seconds(1));
      const { session } = await sessions.create(ada.id);
      t.clock.advance(-seconds(0.5));
      const [rotated] = await Promise.all([
        sessions.rotate(session, ada.id),
        users.invalidateTokens(ada.id, t.clock.now()),
      ]);
      if (rotated) expect(await sessions.lookup(rotated.token)).toBeNull();
      expect(await sessions.listForUser(ada.id)).toEqual([]);
    }
  });

  it('extending concerns the successor', async () => {
    const old = await sessions.create(ada.id);
    await db.query('UPDATE sessions SET absolute_expires_at = absolute_expires_at, expires_at = $2 WHERE id = $1', [
      old.session.id,
      new Date(t.clock.now() + days(1)),
    ]);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    await db.query('UPDATE sessions SET expires_at = $2 WHERE id = $1', [
      rotated.session.id,
      new Date(t.clock.now() + days(1)),
    ]);
    const { session } = (await sessions.lookup(old.token))!;
    const extended = await sessions.maybeExtend(session);
    expect(extended).toMatchObject({ id: rotated.session.id, expiresAt: t.clock.now() + days(30) });
    expect(await sessions.maybeExtend({ ...old.session, expiresAt: t.clock.now() + days(1) })).toBeNull();
  });
});

describe('R14: reuse of a rotated token after its grace', () => {
  const stolen = async () => {
    const old = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    t.clock.advance(seconds(30));
    return { old, rotated };
  };

  it('at the exact instant ends the session for everybody who has it, and tells of it', async () => {
    const { old, rotated } = await stolen();
    const other = await sessions.create(ada.id);
    const heard = await eventsDuring(async () => {
      expect(await sessions.lookup(old.token)).toBeNull();
      expect(await sessions.lookup(rotated.token)).toBeNull();
      expect(await sessions.lookup(old.token)).toBeNull();
    });
    expect(heard).toEqual([
      { type: 'session.reuse_detected', at: t.clock.now(), userId: ada.id, handle: old.session.handle },
    ]);
    expect(await sessions.lookup(other.token)).not.toBeNull();
    for (const secret of [old.token, rotated.token, old.session.id, rotated.session.id]) {
      expect(JSON.stringify(heard)).not.toContain(secret);
    }
  });

  it('of 20 that present it at once, in two processes, one tells', async () => {
    const { old } = await stolen();
    const other = await startTestApp({ url: db.url });
    other.clock.set(t.clock.now());
    const heard: AuthEvent[] = [];
    other.app.get(AuthEvents).on((event) => void (event.type === 'session.reuse_detected' && heard.push(event)));
    heard.push(
      ...(await eventsDuring(async () => {
        const services = [sessions, other.app.get(SessionService)];
        await Promise.all(Array.from({ length: 20 }, (_, i) => services[i % 2]!.lookup(old.token)));
      })),
    );
    expect(heard).toHaveLength(1);
    await other.close();
  });

  it('a token that was held since before is no reuse: refused, and the session lives on', async () => {
    const { old, rotated } = await stolen();
    const heard = await eventsDuring(async () => {
      expect(await sessions.lookup(old.token, { isHeld: true })).toBeNull();
    });
    expect(heard).toEqual([]);
    expect(await sessions.lookup(rotated.token)).not.toBeNull();
  });

  it('with rotationGrace 0 the old token is refused at once, and is reuse', async () => {
    const own = await startTestApp({ url: db.url, auth: { session: { rotationGrace: 0 } } });
    const service = own.app.get(SessionService);
    const heard: AuthEvent[] = [];
    own.app.get(AuthEvents).on((event) => void (event.type === 'session.reuse_detected' && heard.push(event)));
    const old = await service.create(ada.id);
    const results = await Promise.all(Array.from({ length: 5 }, () => service.rotate(old.session, ada.id)));
    expect(results.filter((result) => result !== null)).toHaveLength(1);
    expect((await rowOf(old.session.id))!['successor']).toBeNull();
    expect(heard).toEqual([]);
    expect(await service.lookup(old.token)).toBeNull();
    expect(heard).toHaveLength(1);
    expect(await service.listForUser(ada.id)).toEqual([]);
    await own.close();
  });

  it('a token that nobody ever rotated is no reuse (negative control)', async () => {
    const heard = await eventsDuring(async () => {
      const { token, session } = await sessions.create(ada.id);
      t.clock.set(session.expiresAt);
      expect(await sessions.lookup(token)).toBeNull();
      expect(await sessions.lookup(randomBytes(32).toString('base64url'))).toBeNull();
      t.clock.set(session.createdAt);
    });
    expect(heard).toEqual([]);
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
