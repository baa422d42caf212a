import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  AuthTransaction,
  days,
  minutes,
  seconds,
  SessionService,
  PostgresUserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import {
  CachedSessionStore,
  InvalidationChannel,
  MemorySessionCache,
  SessionCache,
  SessionStore,
} from 'nestjs-latchkey/engine';
import { AuthConfig } from '../../src/config/auth-config.js';
import { PostgresSessionStore } from '../../src/engines/postgres/postgres-session.store.js';
import { OpaqueTokens } from '../../src/session/opaque-tokens.js';
import { sessionStoreContract } from '../contract/session-store.contract.js';
import { closeAll, createUser, startTestApp, type TestApp } from '../support/app.js';
import { heard, until } from '../support/heard.js';
import { sessionStoreOf } from '../support/session-stores.js';

const CACHED = { cache: { enabled: true } };

describe.each([10_000, 0])('with room for %i sessions', (maxSessions) => {
  sessionStoreContract('cached', async () => {
    const t = await startTestApp({ auth: { cache: { enabled: true, maxSessions } } });
    expect(t.app.get(SessionStore)).toBeInstanceOf(CachedSessionStore);
    return sessionStoreOf(t);
  });
});

describe('CachedSessionStore', () => {
  let t: TestApp;
  /** Another instance of the deployment. */
  let other: TestApp;
  let sessions: SessionService;
  let users: PostgresUserDirectory;
  let ada: AuthUser;

  beforeAll(async () => {
    t = await startTestApp({ auth: CACHED });
    other = await startTestApp({ url: t.db.url, auth: CACHED });
    sessions = t.app.get(SessionService);
    users = t.app.get(PostgresUserDirectory);
  });
  afterAll(() => closeAll(other, t));
  beforeEach(async () => {
    ada = await createUser(t.app);
  });
  afterEach(() => void jest.restoreAllMocks());

  const cached = async () => {
    const issued = await sessions.create(ada.id);
    await sessions.lookup(issued.token);
    t.queries.reset();
    return issued;
  };

  it('T: a second lookup within the ttl runs no query, one after it does', async () => {
    const { token } = await cached();
    t.clock.advance(seconds(10) - 0.001);
    expect(await sessions.lookup(token)).toMatchObject({ user: { id: ada.id } });
    expect(t.queries.statements).toEqual([]);
    t.clock.advance(0.001);
    expect(await sessions.lookup(token)).not.toBeNull();
    expect(t.queries.names).toEqual(['latchkey_session_find_with_user']);
  });

  it('T: without the cache every lookup reads', async () => {
    const plain = await startTestApp({ url: t.db.url });
    const { token } = await plain.app.get(SessionService).create(ada.id);
    plain.queries.reset();
    for (let i = 0; i < 3; i++) await plain.app.get(SessionService).lookup(token);
    expect(plain.queries.statements).toHaveLength(3);
    await plain.close();
  });

  describe('lookupCached, which waits for nothing', () => {
    it('answers as lookup does, with a copy of its own', async () => {
      const { token } = await cached();
      const recalled = sessions.lookupCached(token)!;
      expect(recalled).toMatchObject((await sessions.lookup(token))!);
      Object.assign(recalled.user, { id: 'mallory' });
      expect(sessions.lookupCached(token)!.user.id).toBe(ada.id);
      expect(t.queries.statements).toEqual([]);
    });

    it('knows nothing of what was never looked up, is no token, or has ended, here or elsewhere', async () => {
      expect(sessions.lookupCached((await sessions.create(ada.id)).token)).toBeNull();
      expect(sessions.lookupCached('no token')).toBeNull();
      const [here, elsewhere, disabled] = [await cached(), await cached(), await cached()];
      await sessions.revoke(here.session.id);
      expect(sessions.lookupCached(here.token)).toBeNull();
      await other.app.get(SessionService).revoke(elsewhere.session.id);
      await until(async () => sessions.lookupCached(elsewhere.token) === null);
      await users.disable(ada.id);
      expect(sessions.lookupCached(disabled.token)).toBeNull();
    });

    it('leaves to lookup what has to be written, or is over at this instant', async () => {
      const { token, session } = await cached();
      const { extendBelow } = t.app.get(AuthConfig).session;
      const start = t.clock.now();
      t.clock.set(session.expiresAt - extendBelow);
      await sessions.lookup(token);
      expect(sessions.lookupCached(token)).not.toBeNull();
      t.clock.advance(0.001);
      expect(sessions.lookupCached(token)).toBeNull();
      t.clock.set(session.expiresAt - 0.001);
      await sessions.lookup(token);
      t.clock.advance(0.001);
      expect(sessions.lookupCached(token)).toBeNull();
      t.clock.set(start);
    });

    it('inside a transaction, and while the others are not heard, lookup is asked', async () => {
      const { token } = await cached();
      expect(await t.app.get(AuthTransaction).run(async () => sessions.lookupCached(token))).toBeNull();
      const channel = t.app.get(InvalidationChannel);
      jest.spyOn(channel, 'isCurrent', 'get').mockReturnValue(false);
      expect(sessions.lookupCached(token)).toBeNull();
      jest.restoreAllMocks();
      expect(sessions.lookupCached(token)).not.toBeNull();
    });
  });

  it('100 lookups at once share one query', async () => {
    const { token } = await sessions.create(ada.id);
    t.queries.reset();
    const found = await Promise.all(Array.from({ length: 100 }, () => sessions.lookup(token)));
    expect(found.every((one) => one?.user.id === ada.id)).toBe(true);
    expect(t.queries.statements).toHaveLength(1);
  });

  it('every caller has a copy of its own: what a handler writes is nobody else’s', async () => {
    const { token } = await cached();
    const one = (await sessions.lookup(token))!;
    Object.assign(one.user, { id: 'mallory', admin: true });
    Object.assign(one.session, { userId: 'mallory' });
    (one.user.roles as string[]).push('admin');
    const [two, three] = await Promise.all([sessions.lookup(token), sessions.lookup(token)]);
    for (const found of [two, three]) {
      expect(found!.user).not.toHaveProperty('admin');
      expect(found!.user.roles).toEqual([]);
      expect([found!.user.id, found!.session.userId]).toEqual([ada.id, ada.id]);
    }
  });

  describe('a user of the host’s own class', () => {
    class Account {
      readonly #disabledAt: number | null;
      readonly email = 'account@example.com';
      constructor(
        readonly id: string,
        disabledAt: number | null = null,
      ) {
        this.#disabledAt = disabledAt;
      }
      get disabledAt() {
        return this.#disabledAt;
      }
    }
    const foundAs = async (user: AuthUser) => {
      const { token, session } = await sessions.create(ada.id);
      t.app.get(SessionCache).invalidate(session.id);
      jest.spyOn(t.app.get(PostgresSessionStore), 'find').mockResolvedValue({ session, user, rotated: null });
      return [await sessions.lookup(token), await sessions.lookup(token)].map((found) => found?.user);
    };

    it('comes as it is', async () => {
      const account = new Account(ada.id);
      expect(await foundAs(account)).toEqual([account, account]);
    });

    it('is refused when it says that it is disabled, by a getter or a hidden property', async () => {
      expect(await foundAs(new Account(ada.id, 1))).toEqual([undefined, undefined]);
      const hidden = Object.defineProperty({ id: ada.id, email: 'x' }, 'disabledAt', { value: 1, enumerable: false });
      expect(await foundAs(hidden)).toEqual([undefined, undefined]);
    });
  });

  it('a logout with any number of tokens costs two statements', async () => {
    t.queries.reset();
    await sessions.revokeTokens(Array.from({ length: 250 }, () => new OpaqueTokens().issue()));
    expect(t.queries.names).toEqual(['latchkey_session_owners', 'latchkey_session_delete']);
  });

  it('a mere rotation asks for no owners, since it changes nothing of anybody else; a login does', async () => {
    const { session } = await cached();
    const rotated = (await sessions.rotate(session, ada.id))!;
    expect(t.queries.names).toEqual(['latchkey_session_open']);
    t.queries.reset();
    await sessions.rotate(rotated.session, ada.id, { authenticatedAt: t.clock.now() });
    expect(t.queries.names).toEqual(['latchkey_session_owners', 'latchkey_session_open']);
  });

  it('a logout needs no user directory', async () => {
    const { token, session } = await cached();
    jest.spyOn(t.app.get(PostgresSessionStore), 'find').mockRejectedValue(new Error('the directory is away'));
    expect(await sessions.revoke(session.id)).toBe(true);
    jest.restoreAllMocks();
    expect(await sessions.lookup(token)).toBeNull();
  });

  describe('a hit still honours', () => {
    it('the expiry, at its exact instant', async () => {
      const { token, session } = await sessions.create(ada.id);
      t.clock.set(session.expiresAt - seconds(1));
      expect(await sessions.lookup(token)).not.toBeNull();
      t.queries.reset();
      t.clock.advance(seconds(1) - 0.001);
      expect(await sessions.lookup(token)).not.toBeNull();
      expect(t.queries.statements).toEqual([]);
      t.clock.advance(0.001);
      expect(await sessions.lookup(token)).toBeNull();
    });

    it('the absolute lifetime', async () => {
      const { token, session } = await sessions.create(ada.id);
      for (let i = 1; i < 4; i++) {
        t.clock.advance(days(29));
        await sessions.maybeExtend((await sessions.lookup(token))!.session);
      }
      t.clock.set(session.absoluteExpiresAt - seconds(1));
      expect(await sessions.lookup(token)).not.toBeNull();
      t.clock.advance(seconds(1));
      expect(await sessions.lookup(token)).toBeNull();
    });

    it('a user who was disabled, and a cutoff', async () => {
      for (const end of [() => users.disable(ada.id), () => users.invalidateTokens(ada.id, t.clock.now())]) {
        ada = await createUser(t.app);
        const { token } = await cached();
        await end();
        expect(await sessions.lookup(token)).toBeNull();
      }
    });

    it('an entry that knows of the end itself, whatever the store says', async () => {
      const { token, session } = await cached();
      const entry = t.app.get(SessionCache).get(session.id)!;
      t.app.get(SessionCache).set(session.id, { ...entry, user: { ...entry.user, disabledAt: t.clock.now() } });
      jest.spyOn(t.app.get(PostgresSessionStore), 'find').mockResolvedValue(null);
      expect(await sessions.lookup(token)).toBeNull();
    });
  });

  it('an entry that is over is read again: another instance may have extended it', async () => {
    const { token, session } = await cached();
    t.clock.set(session.expiresAt - seconds(5));
    other.clock.set(t.clock.now());
    await sessions.lookup(token);
    const cache = t.app.get(SessionCache);
    const stale = cache.get(session.id)!;
    const told = heard(t.app);
    expect(await other.app.get(SessionService).maybeExtend(stale.session)).not.toBeNull();
    await told;
    cache.set(session.id, stale); // as if it had not been told yet
    t.clock.advance(seconds(6));
    expect(await sessions.lookup(token)).not.toBeNull();
  });

  describe('what this process has ended it never reads back', () => {
    const ends: Record<string, (session: { id: string; handle: string; token: string }) => Promise<unknown>> = {
      revoke: ({ id }) => sessions.revoke(id),
      revokeTokens: ({ token }) => sessions.revokeTokens([token]),
      revokeByHandle: ({ handle }) => sessions.revokeByHandle(ada.id, handle),
      revokeAllForUser: () => sessions.revokeAllForUser(ada.id),
      'revokeAllForUser, the id in capitals': () => sessions.revokeAllForUser(ada.id.toUpperCase()),
      'a login that replaces it': ({ id }) => sessions.rotate({ id }, ada.id, { authenticatedAt: t.clock.now() }),
      'a new password': () => users.setPassword(ada.id, 'a brand new password'),
      disable: () => users.disable(ada.id),
    };
    it.each(Object.keys(ends))('%s', async (name) => {
      for (let i = 0; i < 20; i++) {
        ada = await createUser(t.app);
        const { token, session } = await cached();
        await ends[name]!({ ...session, token });
        expect(await sessions.lookup(token)).toBeNull();
      }
    });

    it.each<[string, (old: { id: string; token: string }) => Promise<unknown>]>([
      ['a logout with the token it was rotated from', ({ token }) => sessions.revokeTokens([token])],
      ['the id it was rotated from', ({ id }) => sessions.revoke(id)],
      ['a login with the token it was rotated from', ({ id }) => loginOver(id)],
      ['the token it was rotated from, stolen', ({ token }) => after(minutes(1), () => sessions.lookup(token))],
    ])('R14: what a rotation led to: %s', async (_, end) => {
      for (let i = 0; i < 10; i++) {
        ada = await createUser(t.app);
        const old = await cached();
        const successor = (await sessions.rotate(old.session, ada.id))!;
        expect(await sessions.lookup(old.token)).toMatchObject({ successor: successor.token });
        expect(await sessions.lookup(successor.token)).not.toBeNull();
        await end({ id: old.session.id, token: old.token });
        expect(await sessions.lookup(successor.token)).toBeNull();
      }
    });

    const loginOver = async (id: string) => {
      const bob = await createUser(t.app);
      await sessions.rotate({ id }, bob.id, { authenticatedAt: t.clock.now() });
    };
    const after = (time: number, work: () => Promise<unknown>) => {
      t.clock.advance(time);
      return work();
    };

    it('a login as somebody else, over a session of mine', async () => {
      const { token, session } = await cached();
      const bob = await createUser(t.app);
      await sessions.rotate(session, bob.id, { authenticatedAt: t.clock.now() });
      expect(await sessions.lookup(token)).toBeNull();
    });

    it('the cap: the least recently used is gone from memory too', async () => {
      const issued = [];
      for (let i = 0; i < 25; i++) {
        t.clock.advance(1);
        issued.push(await sessions.create(ada.id));
      }
      await Promise.all(issued.map(({ token }) => sessions.lookup(token)));
      t.clock.advance(1);
      await sessions.create(ada.id);
      const left = await Promise.all(issued.map(({ token }) => sessions.lookup(token)));
      expect(left.map((found) => found !== null)).toEqual([false, ...Array<boolean>(24).fill(true)]);
    });
  });

  describe('a lookup that is in flight while its session is revoked', () => {
    /** Holds the answer of the store back, after it has read and until it is let go. */
    const holdRead = () => {
      const store = t.app.get(PostgresSessionStore);
      const find = store.find.bind(store);
      let release = () => {};
      let hasRead = () => {};
      const read = new Promise<void>((resolve) => (hasRead = resolve));
      const released = new Promise<void>((resolve) => (release = resolve));
      jest.spyOn(store, 'find').mockImplementationOnce(async (id) => {
        const found = await find(id);
        hasRead();
        await released;
        return found;
      });
      return { read, release: () => release() };
    };
    const digestOf = (id: string) => t.app.get(InvalidationChannel).digest('sessions', id);
    const lookupInFlight = async () => {
      const { token, session } = await sessions.create(ada.id);
      const held = holdRead();
      const early = sessions.lookup(token);
      await held.read;
      return { token, session, early, release: held.release };
    };

    it('does not put the dead row back, ended here', async () => {
      const { token, session, early, release } = await lookupInFlight();
      await sessions.revoke(session.id);
      release();
      expect(await early).not.toBeNull(); // it came before the revocation
      expect(t.app.get(SessionCache).get(session.id)).toBeUndefined();
      expect(await sessions.lookup(token)).toBeNull();
    });

    it('does not put the dead row back, ended by another instance', async () => {
      const { token, session, early, release } = await lookupInFlight();
      const told = heard(t.app, ({ sessions: ids }) => ids === '*' || ids?.includes(digestOf(session.id)) === true);
      await other.app.get(SessionService).revoke(session.id);
      await told;
      release();
      await early;
      expect(await sessions.lookup(token)).toBeNull();
    });

    it('revoked here when another instance has just done so, and this one has yet to hear of it', async () => {
      const { token, session, early, release } = await lookupInFlight();
      const deaf = jest.spyOn(t.app.get<{ tell(): void }>(InvalidationChannel), 'tell');
      const told = new Promise<void>((resolve) => deaf.mockImplementationOnce(() => resolve()));
      await t.db.query('DELETE FROM sessions WHERE id = $1', [session.id]);
      await told;
      deaf.mockRestore();
      await sessions.revoke(session.id);
      release();
      await early;
      expect(await sessions.lookup(token)).toBeNull();
    });

    it('one that comes after the revocation does not join it', async () => {
      const { token, session, early, release } = await lookupInFlight();
      await sessions.revoke(session.id);
      const late = sessions.lookup(token);
      release();
      expect(await early).not.toBeNull();
      expect(await late).toBeNull();
    });

    it('one that has joined it, and is overtaken, reads for itself', async () => {
      const { token, session, early, release } = await lookupInFlight();
      const joined = sessions.lookup(token);
      await users.disable(ada.id);
      release();
      await early;
      expect(await joined).toBeNull();
      expect(t.app.get(SessionCache).get(session.id)).toBeUndefined();
    });

    it('a cache that keeps what it read puts it back (negative control)', async () => {
      const { token, session } = await sessions.create(ada.id);
      const held = holdRead();
      const naive = new MemorySessionCache({ max: 10, ttl: seconds(10) }, t.clock, { digest: (_kind, id) => id });
      const store = t.app.get(PostgresSessionStore);
      const early = store.find(session.id).then((found) => found && naive.set(session.id, found));
      await held.read;
      await sessions.revoke(session.id);
      naive.invalidate(session.id);
      held.release();
      await early;
      expect(naive.get(session.id)).toBeDefined();
      expect(await sessions.lookup(token)).toBeNull();
    });
  });

  describe('inside a transaction', () => {
    it('reads are its own, and nothing of them is kept', async () => {
      const { token, session } = await cached();
      const transaction = t.app.get(AuthTransaction);
      const undone = transaction.run(async () => {
        await sessions.revoke(session.id);
        expect(await sessions.lookup(token)).toBeNull();
        throw new Error('undone');
      });
      await expect(undone).rejects.toThrow('undone');
      expect(await sessions.lookup(token)).not.toBeNull();
    });

    it('what it ends is gone from memory when it is done, also when it was read again meanwhile', async () => {
      const { token, session } = await cached();
      await t.app.get(AuthTransaction).run(async () => {
        await sessions.revoke(session.id);
        // Another request, outside: nothing is ended for it yet.
        const outside = await t.app.get(PostgresSessionStore).find(session.id);
        expect(outside).toBeNull();
        t.app.get(SessionCache).set(session.id, { session, user: ada });
      });
      expect(await sessions.lookup(token)).toBeNull();
    });
  });

  it('a fault of the store is thrown to all who share the read, and nothing is kept', async () => {
    const { token } = await sessions.create(ada.id);
    jest.spyOn(t.app.get(PostgresSessionStore), 'find').mockRejectedValueOnce(new Error('away'));
    const answers = await Promise.allSettled([sessions.lookup(token), sessions.lookup(token)]);
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await sessions.lookup(token)).not.toBeNull();
  });

  it('a missing or dead session is not kept', async () => {
    const { token, session } = await sessions.create(ada.id);
    t.clock.advance(days(31));
    for (let i = 0; i < 2; i++) expect(await sessions.lookup(token)).toBeNull();
    expect(t.app.get(SessionCache).get(session.id)).toBeUndefined();
  });

  it('T: a login ends what memory has of the same user’s earlier session', async () => {
    const first = await cached();
    t.clock.advance(minutes(1));
    await sessions.create(ada.id);
    expect(t.app.get(SessionCache).get(first.session.id)).toBeUndefined();
    expect(await sessions.lookup(first.token)).not.toBeNull();
  });
});
