import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthEvents,
  AuthTransaction,
  PostgresUserDirectory,
  SessionService,
  type AuthEvent,
  type AuthUser,
} from 'nestjs-latchkey';
import { DataSource, type EntityManager } from 'typeorm';
import { createUser, PASSWORD, startTestApp, type TestApp } from '../support/app.js';

const NOTES = 'SELECT count(*)::integer AS count FROM notes';

describe.each([
  ['without caches', false],
  ['with caches', true],
])('AuthTransaction.within, %s', (_, enabled) => {
  let t: TestApp;
  let source: DataSource;
  let transaction: AuthTransaction;
  let users: PostgresUserDirectory;
  let sessions: SessionService;
  let ada: AuthUser;
  let events: AuthEvent[];
  let stopListening: () => void;
  let accounts = 0;
  beforeAll(async () => {
    t = await startTestApp({ auth: { cache: { enabled } } });
    source = t.app.get(DataSource);
    transaction = t.app.get(AuthTransaction);
    users = t.app.get(PostgresUserDirectory);
    sessions = t.app.get(SessionService);
    await source.query('CREATE TABLE notes (text text NOT NULL)');
  });
  afterAll(() => t?.close());
  beforeEach(async () => {
    await source.query('TRUNCATE notes');
    ada = await createUser(t.app, `ada${++accounts}@example.com`);
    events = [];
    stopListening = t.app.get(AuthEvents).on((event) => void events.push(event));
  });
  afterEach(() => stopListening());

  const newEmail = () => `new${++accounts}@example.com`;
  const noteCount = async () => (await source.query<{ count: number }[]>(NOTES))[0]!.count;
  const signUp = async (manager: EntityManager, email: string) => {
    await manager.query("INSERT INTO notes VALUES ('of the host')");
    return transaction.within(manager, async () => sessions.create((await users.create(email, PASSWORD)).id));
  };

  it("commits an account, a session and the host's rows together, and tells of it afterwards", async () => {
    const email = newEmail();
    const { token } = await source.transaction(async (manager) => {
      const issued = await signUp(manager, email);
      expect(events).toEqual([]);
      // Nobody else sees it yet.
      expect(await sessions.lookup(issued.token)).toBeNull();
      return issued;
    });
    expect((await sessions.lookup(token))?.user.email).toBe(email);
    expect(await noteCount()).toBe(1);
    expect(events).toMatchObject([{ type: 'session.created' }]);
  });

  it('undoes all of it with the host, and tells nothing', async () => {
    const email = newEmail();
    let token = '';
    const failing = source.transaction(async (manager) => {
      ({ token } = await signUp(manager, email));
      throw new Error('the host changed its mind');
    });
    await expect(failing).rejects.toThrow('the host changed its mind');
    expect(await sessions.lookup(token)).toBeNull();
    expect(await users.findByLogin(email)).toBeNull();
    expect(await noteCount()).toBe(0);
    expect(events).toEqual([]);
  });

  it('a revocation that is undone leaves the session alive, one that is committed ends it', async () => {
    const { token, session } = await sessions.create(ada.id);
    expect(await sessions.lookup(token)).not.toBeNull();
    const revoke = async (manager: EntityManager) => {
      await transaction.within(manager, async () => {
        expect(await sessions.revoke(session.id)).toBe(true);
        expect(await sessions.lookup(token)).toBeNull();
      });
    };
    const undone = source.transaction(async (manager) => {
      await revoke(manager);
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    expect(await sessions.lookup(token)).not.toBeNull();
    await source.transaction(revoke);
    expect(await sessions.lookup(token)).toBeNull();
  });

  it('a savepoint of the host that is rolled back takes along what was done within it, and nothing else', async () => {
    const [kept, undone] = [newEmail(), newEmail()];
    await source.transaction(async (manager) => {
      await signUp(manager, kept);
      const inner = manager.transaction(async (nested) => {
        await signUp(nested, undone);
        throw new Error('undone');
      });
      await expect(inner).rejects.toThrow('undone');
    });
    expect(await users.findByLogin(kept)).not.toBeNull();
    expect(await users.findByLogin(undone)).toBeNull();
    expect(await noteCount()).toBe(1);
    expect(events).toHaveLength(1);
  });

  it('a statement of ours that failed makes the commit throw, unless its savepoint was rolled back', async () => {
    const taken = (manager: EntityManager) =>
      transaction.within(manager, () => users.create(ada.email, PASSWORD)).catch(() => null);
    const swallowing = source.transaction(async (manager) => {
      await manager.query("INSERT INTO notes VALUES ('lost')");
      await taken(manager);
    });
    await expect(swallowing).rejects.toThrow(/duplicate key/);
    expect(await noteCount()).toBe(0);

    await source.transaction(async (manager) => {
      await manager.query("INSERT INTO notes VALUES ('kept')");
      await manager
        .transaction(async (nested) => {
          await taken(nested);
          throw new Error('back to the savepoint');
        })
        .catch(() => null);
    });
    expect(await noteCount()).toBe(1);
  });

  it('run() inside is part of it, and two at once do not mix', async () => {
    const emails = Array.from({ length: 4 }, newEmail);
    const all = await Promise.allSettled(
      emails.map((email, i) =>
        source.transaction(async (manager) => {
          await transaction.within(manager, () => transaction.run(() => users.create(email, PASSWORD)));
          if (i % 2 === 1) throw new Error('undone');
        }),
      ),
    );
    expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
    const found = await Promise.all(emails.map((email) => users.findByLogin(email)));
    expect(found.map((user) => user !== null)).toEqual([true, false, true, false]);
  });

  it('the same runner begins another transaction afterwards', async () => {
    const runner = source.createQueryRunner();
    try {
      for (const commits of [false, true]) {
        const email = newEmail();
        await runner.startTransaction();
        await signUp(runner.manager, email);
        await (commits ? runner.commitTransaction() : runner.rollbackTransaction());
        expect((await users.findByLogin(email)) !== null).toBe(commits);
      }
    } finally {
      await runner.release();
    }
  });

  it('refuses a manager without a transaction, another DataSource, and another level, and changes nothing', async () => {
    const work = () => users.create(newEmail(), PASSWORD);
    await expect(transaction.within(source.manager, work)).rejects.toThrow(/EntityManager that dataSource.transaction/);
    const serializable = source.transaction('SERIALIZABLE', (manager) => transaction.within(manager, work));
    await expect(serializable).rejects.toThrow(/READ COMMITTED, not SERIALIZABLE/);
    const other = await new DataSource({ type: 'postgres', url: t.db.url }).initialize();
    try {
      const foreign = other.transaction((manager) => transaction.within(manager, work));
      await expect(foreign).rejects.toThrow(/DataSource that AuthModule uses/);
    } finally {
      await other.destroy();
    }
  });
});
