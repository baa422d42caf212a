import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { days, seconds } from 'nestjs-latchkey';
import { startTestApp } from '../../support/app.js';
import { createTestDatabase } from '../../support/database.js';
import { ada, bob, rowOf, sessions, t, users, useSessions } from '../../support/session-service.js';
import { withClient } from '../../support/test-server.js';

useSessions();

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
      const [{ n }] = (await t.db.query('SELECT count(*)::int AS n FROM sessions WHERE user_id = $1', [bob.id])) as [
        { n: number },
      ];
      const id = createHash('sha256').update(randomBytes(32)).digest('hex');
      if (n < 25)
        await t.db.query(`INSERT INTO sessions (id, user_id, expires_at) VALUES ($1, $2, 'infinity')`, [id, bob.id]);
    };
    await sessions.revokeAllForUser(bob.id);
    await Promise.all(Array.from({ length: 50 }, naive));
    const [{ n }] = (await t.db.query('SELECT count(*)::int AS n FROM sessions WHERE user_id = $1', [bob.id])) as [
      { n: number },
    ];
    expect(n).toBeGreaterThan(25);
  });
});

describe('a password change against a login with the old password', () => {
  const hold = (sql: string) => withClient(t.db.url, async (client) => client.query(sql));

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
    expect(await t.db.query('SELECT 1 FROM sessions WHERE user_id = $1', [ada.id])).toEqual([]);
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
    await expect(sessions.elevate(session, { authenticatedAt: Number.NaN })).rejects.toThrow(TypeError);
    expect(await sessions.listForUser(ada.id)).toEqual([expect.objectContaining({ handle: session.handle })]);
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
