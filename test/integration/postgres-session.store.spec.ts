import { describe, expect, it } from '@jest/globals';
import { days, SessionService } from 'nestjs-latchkey';
import { SessionStore } from 'nestjs-latchkey/engine';
import { lockOf } from '../../src/schema/migrations/session-functions.js';
import { OpaqueTokens } from '../../src/session/opaque-tokens.js';
import type { NewSession } from '../../src/session/session.store.js';
import { sessionStoreContract } from '../contract/session-store.contract.js';
import { createUser, startTestApp } from '../support/app.js';
import { until } from '../support/heard.js';
import { countsOf, sessionStoreOf, sessionStoreOnAccounts } from '../support/session-stores.js';
import { withClient } from '../support/test-server.js';

it('a plain DELETE misses the row that a rotation is inserting (negative control)', async () => {
  const t = await startTestApp();
  const { db } = t;
  const { id: userId } = await createUser(t.app, 'ada@example.com');
  const sessions = t.app.get(SessionService);
  const deletes = {
    plain: (handle: string) => db.query('DELETE FROM sessions WHERE handle = $1', [handle]),
    ours: (handle: string) => sessions.revokeByHandle(userId, handle),
  };
  const left = { plain: 0, ours: 0 };
  // The rotation is held up once it has its snapshot and its lock, so that the deletion always comes in between.
  await db.query(
    `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END $$`,
  );
  await db.query('CREATE TRIGGER slow AFTER UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION slow()');
  for (const kind of ['plain', 'ours'] as const) {
    const { session } = await sessions.create(userId);
    const rotation = sessions.rotate(session, userId);
    for (let waiting = true; waiting;) {
      const [row] = await db.query(
        `SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()`,
      );
      waiting = row === undefined;
    }
    await deletes[kind](session.handle);
    expect(await rotation).not.toBeNull();
    left[kind] = (await sessions.listForUser(userId)).length;
    await sessions.revokeAllForUser(userId);
  }
  expect(left).toEqual({ plain: 1, ours: 0 });
  await t.close();
});

describe('a login that ends nothing', () => {
  const tokens = new OpaqueTokens();
  const newId = () => tokens.idOf(tokens.issue())!;
  const ADD = 'latchkey_session_add';
  const OPEN = 'latchkey_session_open';
  const WAITING = `SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE a.datname = current_database() AND NOT l.granted`;

  const start = async () => {
    // Each application has connections of its own, so that they really meet in the database.
    const one = await startTestApp();
    const other = await startTestApp({ url: one.db.url });
    const { id: userId } = await createUser(one.app);
    const opening = (overrides: Partial<NewSession> = {}): NewSession => ({
      id: newId(),
      userId,
      now: Date.UTC(2025, 0, 1) + 0.123,
      ttl: days(30),
      absoluteLifetime: days(90),
      authenticatedAt: Date.UTC(2025, 0, 1) - 5 / 3,
      replaces: null,
      successor: null,
      rotationGrace: 0,
      maxPerUser: 2,
      ip: '203.0.113.7',
      userAgent: 'test',
      ...overrides,
    });
    const close = async () => {
      await other.close();
      await one.close();
    };
    return {
      db: one.db,
      userId,
      opening,
      close,
      spy: one.queries,
      stores: [one, other].map((t) => t.app.get(SessionStore)),
    };
  };

  it('answers what is stored, as the decision about all sessions does', async () => {
    const { userId, opening, close, spy, stores } = await start();
    const store = stores[0]!;
    const overrides = { userId: userId.toUpperCase(), userAgent: 'half \ud83d', ip: null };
    spy.reset();
    const added = (await store.open(opening(overrides)))!.session;
    expect(spy.names).toEqual([ADD]);
    expect((await store.find(added.id))!.session).toEqual(added);
    spy.reset();
    const decided = (await store.open(opening({ ...overrides, replaces: newId() })))!.session;
    expect(spy.names).toEqual([OPEN]);
    expect({ ...added, id: decided.id, handle: decided.handle }).toEqual(decided);
    spy.reset();
    const third = (await store.open(opening({ now: decided.createdAt + 1 })))!;
    expect(spy.names).toEqual([ADD, OPEN]);
    expect(third.ended).toEqual([{ session: { userId, handle: expect.any(String) }, because: 'cap' }]);
    expect([added.handle, decided.handle]).toContain(third.ended[0]!.session.handle);
    await close();
  });

  it('opens nothing for a login whose account has changed since, and counts from after its cutoff', async () => {
    const { db, opening, close, stores } = await start();
    const cutoff = Date.UTC(2025, 0, 2) + 0.5;
    await db.query('UPDATE users SET tokens_invalidated_after = to_timestamp($1)', [cutoff / 1000]);
    expect(await stores[0]!.open(opening({ cutoff: null }))).toBeNull();
    const opened = (await stores[0]!.open(opening({ cutoff })))!.session;
    expect(opened.authenticatedAt).toBe(cutoff + 0.001);
    expect((await stores[0]!.find(opened.id))!.session).toEqual(opened);
    await db.query('UPDATE users SET disabled_at = now()');
    expect(await stores[0]!.open(opening({ cutoff }))).toBeNull();
    await close();
  });

  it.each([
    ["its user's lock", `SELECT pg_advisory_xact_lock(${lockOf('$1::uuid')})`],
    ['the row of its account', 'UPDATE users SET tokens_invalidated_after = NULL WHERE id = $1'],
  ])('waits for nothing: while another has %s, it leaves the decision to the statement that waits', async (_, hold) => {
    const { db, userId, opening, close, spy, stores } = await start();
    await withClient(db.url, async (holder) => {
      await holder.query('BEGIN');
      await holder.query(hold, [userId]);
      spy.reset();
      const opened = stores[0]!.open(opening({ cutoff: null }));
      await until(async () => (await db.query(WAITING)).length > 0);
      expect(spy.names).toEqual([ADD, OPEN]);
      await holder.query('COMMIT');
      expect(await opened).toMatchObject({ session: { userId }, ended: [] });
    });
    await close();
  });

  it('R38: concurrent logins one below the cap leave exactly as many as may be, and tell of each that ended', async () => {
    const { db, userId, opening, close, stores } = await start();
    for (let round = 0; round < 20; round++) {
      await db.query('DELETE FROM sessions');
      for (let i = 0; i < 4; i++) await stores[0]!.open(opening({ maxPerUser: 5 }));
      const calls = Array.from({ length: 16 }, (_, i) =>
        stores[i % 2]!.open(
          opening({
            maxPerUser: 5,
            replaces: i % 4 === 3 ? newId() : null,
          }),
        ),
      );
      const opened = await Promise.all(calls);
      expect(opened).not.toContain(null);
      expect(await countsOf(db).count(userId)).toBe(5);
      expect(opened.flatMap((one) => one!.ended)).toHaveLength(15);
    }
    await close();
  });
});

sessionStoreContract('TypeORM, users in our table', async () => sessionStoreOf(await startTestApp()));

// By other types: own-user-ids-session.store.spec.ts.
describe('a host with a user table of its own, keyed by integer', () => {
  sessionStoreContract('TypeORM, integer user ids', () => sessionStoreOnAccounts('integer', '1', '2'));
});
