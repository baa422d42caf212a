import { describe, expect, it } from '@jest/globals';
import { days, seconds, SessionService, type Session } from 'nestjs-latchkey';
import { startTestApp } from '../../support/app.js';
import { reusesDuring } from '../../support/heard.js';
import { ada, bob, rowOf, sessions, t, users, useSessions } from '../../support/session-service.js';
import { VARIANT } from '../../support/variant.js';

useSessions();

describe('rotate (T: 4.3)', () => {
  it('R1: at a login the old token is not found, and nobody hears of it', async () => {
    const heard = await reusesDuring(t.app, async () => {
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
    await t.db.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`);
    await t.db.query(
      `CREATE TRIGGER refuse BEFORE DELETE ON sessions FOR EACH ROW WHEN (OLD.id = '${old.session.id}') EXECUTE FUNCTION refuse()`,
    );
    const rotation = sessions.rotate(old.session, ada.id, { authenticatedAt: t.clock.now() });
    await expect(rotation).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await t.db.query('DROP TRIGGER refuse ON sessions');
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
    const rows = await t.db.query('SELECT rotated_at FROM sessions WHERE user_id = $1', [ada.id]);
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
    await t.db.query('UPDATE sessions SET successor = (SELECT successor FROM sessions WHERE id = $2) WHERE id = $1', [
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
    const own = await startTestApp({ url: t.db.url, auth: { session: { tokenFormat: 'signed' } } });
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
    const own = await startTestApp({ url: t.db.url, auth: { session: { maxPerUser: 1 } } });
    const service = own.app.get(SessionService);
    const old = await service.create(ada.id);
    const rotated = (await service.rotate(old.session, ada.id))!;
    expect((await service.lookup(old.token))?.successor).toBe(rotated.token);
    await own.close();
  });

  it('with another secret in its place the old token is refused, and the session lives on', async () => {
    const old = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    const own = await startTestApp({
      url: t.db.url,
      auth: { secrets: ['another secret that is long enough: 987654'] },
    });
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
    const heard = await reusesDuring(t.app, async () => {
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
    await t.db.query('UPDATE sessions SET absolute_expires_at = absolute_expires_at, expires_at = $2 WHERE id = $1', [
      old.session.id,
      new Date(t.clock.now() + days(1)),
    ]);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    await t.db.query('UPDATE sessions SET expires_at = $2 WHERE id = $1', [
      rotated.session.id,
      new Date(t.clock.now() + days(1)),
    ]);
    const { session } = (await sessions.lookup(old.token))!;
    const extended = await sessions.maybeExtend(session);
    expect(extended).toMatchObject({ id: rotated.session.id, expiresAt: t.clock.now() + days(30) });
    expect(await sessions.maybeExtend({ ...old.session, expiresAt: t.clock.now() + days(1) })).toBeNull();
  });
});
