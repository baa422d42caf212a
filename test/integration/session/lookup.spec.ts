import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { days } from 'nestjs-latchkey';
import { sessionStatements } from '../../../src/engines/postgres/postgres-session.statements.js';
import { SchemaNames } from '../../../src/schema/schema-names.js';
import { ada, bob, rowOf, sessions, t, users, useSessions } from '../../support/session-service.js';
import { withClient } from '../../support/test-server.js';

useSessions();

describe('lookup (T: 4.3)', () => {
  it('finds session and user with one prepared statement and one round trip', async () => {
    const { token, session } = await sessions.create(ada.id);
    t.queries.reset();
    const found = await sessions.lookup(token);
    expect(found).toEqual({ session, user: { ...ada, disabledAt: null, tokensInvalidatedAfter: null } });
    expect(t.queries.statements).toHaveLength(1);
    expect(t.queries.statements[0]).toMatch(/JOIN "users"/);
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
    await t.db.query(`UPDATE sessions SET expires_at = '2024-12-31T23:59:59Z' WHERE id = $1`, [session.id]);
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
    await t.db.query('UPDATE users SET disabled_at = now() WHERE id = $1', [ada.id]);
    expect(await sessions.lookup(token)).toBeNull();
  });

  it('R17: a deleted user has no session, and the rows are gone', async () => {
    const { token, session } = await sessions.create(ada.id);
    await t.db.query('DELETE FROM users WHERE id = $1', [ada.id]);
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
  await t.db.query(
    `INSERT INTO sessions (id, user_id, expires_at)
     SELECT encode(sha256(i::text::bytea), 'hex'), $1, now() + interval '30 days' FROM generate_series(1, 20000) i`,
    [bob.id],
  );
  await t.db.query('ANALYZE sessions');
  const plan = await withClient(t.db.url, async (client) => {
    await client.query(`PREPARE find AS ${sessionStatements(new SchemaNames()).findWithUser.text}`);
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN EXECUTE find('${'a'.repeat(64)}')`);
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  });
  expect(plan).toContain('Index Scan using sessions_pkey');
  expect(plan).not.toMatch(/Seq Scan on sessions/);
  await sessions.revokeAllForUser(bob.id);
});

describe('a row of another program, with only the columns of the seed', () => {
  const insert = async (createdAt: string, expiresAt: string) => {
    const raw = randomBytes(32);
    const id = createHash('sha256').update(raw).digest('hex');
    await t.db.query('INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)', [
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
    expect(await t.db.query(read, [session.id, now])).toEqual([]);
    expect(await t.db.query(read, [rotated.session.id, now])).toHaveLength(1);
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
