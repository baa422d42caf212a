import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthEvents,
  AuthTransaction,
  EphemeralTokenService,
  RateLimitService,
  PostgresUserDirectory,
  SessionService,
  UserDirectory,
  type AuthEvent,
  type AuthUser,
} from 'nestjs-latchkey';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { Client } from '../../src/postgres/connection.js';
import { PreparedStatements } from '../../src/postgres/prepared-statements.js';
import { createUser, PASSWORD, startTestApp, type TestApp } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

/** Asks the DataSource for a connection of its own, as a host's directory does. */
@Injectable()
class HostDirectory extends UserDirectory {
  constructor(private readonly dataSource: DataSource) {
    super();
  }
  override async findById(id: string): Promise<AuthUser | null> {
    return this.find('id::text', id);
  }
  override async findByLogin(login: string): Promise<AuthUser | null> {
    return this.find('email', login);
  }
  override async verifyCredentials(): Promise<AuthUser | null> {
    return null;
  }
  private async find(column: string, value: string): Promise<AuthUser | null> {
    const [user] = await this.dataSource.query<AuthUser[]>(`SELECT id, email FROM users WHERE ${column} = $1`, [value]);
    return user ?? null;
  }
}

describe('AuthTransaction', () => {
  let db: TestDatabase;
  let t: TestApp;
  let transaction: AuthTransaction;
  let tokens: EphemeralTokenService;
  let users: PostgresUserDirectory;
  let limits: RateLimitService;
  let email: string;
  let accounts = 0;
  beforeAll(async () => {
    db = await createTestDatabase();
    t = await startTestApp({ url: db.url });
    transaction = t.app.get(AuthTransaction);
    tokens = t.app.get(EphemeralTokenService);
    users = t.app.get(PostgresUserDirectory);
    limits = t.app.get(RateLimitService);
  });
  afterAll(async () => {
    await t?.close();
    await db?.drop();
  });
  beforeEach(async () => {
    ({ email } = await createUser(t.app, `ada${++accounts}@example.com`));
  });

  it('a statement that failed undoes everything, also where the work catches its error', async () => {
    const token = await tokens.issue('password_reset', { username: email });
    const spend = () =>
      transaction.run(async () => {
        const fields = await tokens.consume('password_reset', token);
        await users.create(email, PASSWORD).catch(() => null);
        return fields;
      });
    await expect(spend()).rejects.toThrow(/duplicate key/);
    expect(await tokens.peek('password_reset', token)).not.toBeNull();
  });

  it('what was started inside and goes on after the end is not part of it, nor of the next one', async () => {
    let release = () => {};
    const gate = new Promise<void>((open) => (release = open));
    let late: Promise<unknown> = Promise.resolve();
    await transaction.run(async () => {
      await users.findByLogin(email);
      late = gate.then(() => users.create(`late${accounts}@example.com`, PASSWORD));
    });
    const undone = transaction.run(async () => {
      await users.findByLogin(email);
      release();
      await late;
      throw new RangeError('undo');
    });
    await expect(undone).rejects.toThrow(RangeError);
    expect(await users.findByLogin(`late${accounts}@example.com`)).not.toBeNull();
  });

  it('a transaction that is opened after the end of the one around it is one of its own', async () => {
    let later: () => Promise<unknown> = () => Promise.resolve();
    await transaction.run(async () => {
      await users.findByLogin(email);
      const { AsyncResource } = await import('node:async_hooks');
      later = AsyncResource.bind(() =>
        transaction.run(async () => {
          await users.create(`undone${accounts}@example.com`, PASSWORD);
          throw new RangeError('undo');
        }),
      );
    });
    await expect(later()).rejects.toThrow(RangeError);
    expect(await users.findByLogin(`undone${accounts}@example.com`)).toBeNull();
  });

  it('what is to come afterwards learns the outcome: committed, undone, or unknown when the answer was lost', async () => {
    const statements = t.app.get(PreparedStatements);
    const outcomeOf = async (work: () => Promise<unknown>) => {
      const outcomes: string[] = [];
      const run = transaction.run(async () => {
        statements.afterTransaction((outcome) => void outcomes.push(outcome));
        await work();
        expect(outcomes).toEqual([]);
      });
      await run.catch(() => undefined);
      return outcomes;
    };
    const atCommit = (body: string) => async () => {
      const run = (text: string) => statements.run({ name: '', text }, []);
      await run(`CREATE FUNCTION pg_temp.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN ${body}; END $$`);
      await run('CREATE TEMP TABLE late (n integer) ON COMMIT DROP');
      await run(`CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION pg_temp.at_commit()`);
      await run('INSERT INTO late VALUES (1)');
    };
    expect(await outcomeOf(async () => {})).toEqual(['committed']);
    expect(await outcomeOf(() => Promise.reject(new Error('no')))).toEqual(['undone']);
    expect(await outcomeOf(atCommit("RAISE EXCEPTION 'late' USING ERRCODE = '23514'"))).toEqual(['undone']);
    expect(await outcomeOf(atCommit('PERFORM pg_terminate_backend(pg_backend_pid())'))).toEqual(['unknown']);
    const alone: string[] = [];
    statements.afterTransaction((outcome) => void alone.push(outcome));
    expect(alone).toEqual(['committed']);
  });

  it('one within one is part of it', async () => {
    const work = transaction.run(async () => {
      await transaction.run(() => users.create(`inner${accounts}@example.com`, PASSWORD));
      throw new RangeError('undo');
    });
    await expect(work).rejects.toThrow(RangeError);
    expect(await users.findByLogin(`inner${accounts}@example.com`)).toBeNull();
  });

  it('statements that are started side by side run one after the other', async () => {
    const found = await transaction.run(() => Promise.all(Array.from({ length: 20 }, () => users.findByLogin(email))));
    expect(found.every((user) => user?.email === email)).toBe(true);
  });

  it('after a deadlock the work is called again', async () => {
    const other = await createUser(t.app, `bob${accounts}@example.com`);
    const ada = (await users.findByLogin(email))!;
    let calls = 0;
    let arrived = 0;
    let open = () => {};
    const bothHoldOne = new Promise<void>((resolve) => (open = resolve));
    const inOrder = (first: AuthUser, second: AuthUser) =>
      transaction.run(async () => {
        calls++;
        await users.invalidateTokens(first.id, t.clock.now());
        if (++arrived === 2) open();
        await bothHoldOne;
        await users.invalidateTokens(second.id, t.clock.now());
      });
    await Promise.all([inOrder(ada, other), inOrder(other, ada)]);
    expect(calls).toBe(3);
  }, 20_000);

  it('an attempt stays counted when the transaction around it is undone', async () => {
    let passed = 0;
    for (let i = 0; i < 20; i++) {
      await transaction
        .run(async () => {
          if ((await limits.consume('2fa_attempt', email)).allowed) passed++;
          throw new RangeError('wrong code');
        })
        .catch(() => null);
    }
    expect(passed).toBe(5);
  });

  it('fifty at once with a directory that asks for a connection of its own: one wins, nobody waits for ever', async () => {
    const host = await startTestApp({ url: db.url, auth: { users: HostDirectory } });
    const hostTokens = host.app.get(EphemeralTokenService);
    const token = await hostTokens.issue('password_reset', { username: email });
    const results = await Promise.all(
      Array.from({ length: 50 }, () =>
        host.app.get(AuthTransaction).run(() => hostTokens.consume('password_reset', token)),
      ),
    );
    expect(results.filter((fields) => fields !== null)).toHaveLength(1);
    await host.close();
  });
});

describe.each([
  { cache: 'off', enabled: false },
  { cache: 'on', enabled: true },
])('AuthTransaction.within, cache $cache', ({ enabled }) => {
  let db: TestDatabase;
  let t: TestApp;
  let dataSource: DataSource;
  let transaction: AuthTransaction;
  let statements: PreparedStatements;
  let sessions: SessionService;
  let users: PostgresUserDirectory;
  let ada: AuthUser;
  let email: string;
  let accounts = 0;
  const heard: AuthEvent[] = [];
  const outcomes: string[] = [];
  const undo = new RangeError('undo');
  beforeAll(async () => {
    db = await createTestDatabase();
    t = await startTestApp({ url: db.url, auth: { cache: { enabled } } });
    dataSource = t.app.get(DataSource);
    transaction = t.app.get(AuthTransaction);
    statements = t.app.get(PreparedStatements);
    sessions = t.app.get(SessionService);
    users = t.app.get(PostgresUserDirectory);
    t.app.get(AuthEvents).on((event) => void heard.push(event));
    await dataSource.query('CREATE TABLE companies (name text PRIMARY KEY)');
  });
  afterAll(async () => {
    await t?.close();
    await db?.drop();
  });
  beforeEach(async () => {
    ada = await createUser(t.app, `ada${++accounts}@example.com`);
    email = `new${accounts}@example.com`;
    heard.length = 0;
    outcomes.length = 0;
  });

  const addCompany = (manager: EntityManager) => manager.query('INSERT INTO companies VALUES ($1)', [email]);
  const companies = async () =>
    (await dataSource.query<unknown[]>('SELECT FROM companies WHERE name = $1', [email])).length;
  const noteOutcome = () => statements.afterTransaction((outcome) => void outcomes.push(outcome));
  const register = (manager: EntityManager) =>
    transaction.within(manager, async () => {
      noteOutcome();
      const user = await users.create(email, PASSWORD);
      return sessions.create(user.id);
    });
  const fail = (manager: EntityManager) => transaction.within(manager, () => users.create(ada.email, PASSWORD));

  it('the rows of the host, an account and a session are committed together', async () => {
    const { token } = await dataSource.transaction(async (manager) => {
      await addCompany(manager);
      const issued = await register(manager);
      expect(await users.findByLogin(email)).toBeNull();
      expect([heard, outcomes]).toEqual([[], []]);
      return issued;
    });
    expect(outcomes).toEqual(['committed']);
    expect(heard.map(({ type }) => type)).toEqual(['session.created']);
    expect((await sessions.lookup(token))?.user.email).toBe(email);
    expect(await companies()).toBe(1);
  });

  it.each(['our work', 'the host after it'])('all is rolled back together when %s fails', async (who) => {
    let token = '';
    const failed = dataSource.transaction(async (manager) => {
      if (who !== 'our work') ({ token } = await register(manager));
      await addCompany(manager);
      if (who === 'our work') {
        const failing = transaction.within(manager, async () => {
          ({ token } = await sessions.create(ada.id));
          noteOutcome();
          throw undo;
        });
        await failing;
      }
      throw undo;
    });
    await expect(failed).rejects.toBe(undo);
    expect(outcomes).toEqual(['undone']);
    expect(heard).toEqual([]);
    expect(await sessions.lookup(token)).toBeNull();
    expect(await users.findByLogin(email)).toBeNull();
    expect(await companies()).toBe(0);
  });

  it('a session that is created and one that is revoked, then rolled back: memory is right, no event is emitted', async () => {
    const kept = await sessions.create(ada.id);
    await sessions.lookup(kept.token);
    heard.length = 0;
    let token = '';
    const failed = dataSource.transaction(async (manager) => {
      await transaction.within(manager, async () => {
        ({ token } = await sessions.create(ada.id));
        expect(await sessions.lookup(token)).not.toBeNull();
        await sessions.revoke(kept.session.id);
        expect(await sessions.lookup(kept.token)).toBeNull();
      });
      throw undo;
    });
    await expect(failed).rejects.toBe(undo);
    expect(await sessions.lookup(kept.token)).not.toBeNull();
    expect(await sessions.lookup(token)).toBeNull();
    expect(heard).toEqual([]);
  });

  it('a session that is revoked stands for others until the commit, and is gone from memory with it', async () => {
    const { token, session } = await sessions.create(ada.id);
    await sessions.lookup(token);
    await dataSource.transaction(async (manager) => {
      await transaction.within(manager, () => sessions.revoke(session.id));
      expect(await sessions.lookup(token)).not.toBeNull();
    });
    expect(await sessions.lookup(token)).toBeNull();
  });

  it('a savepoint that is rolled back undoes what is after it, one that is released belongs to what is around it', async () => {
    await dataSource.transaction(async (manager) => {
      await transaction.within(manager, async () => noteOutcome());
      const inner = manager.transaction(async (nested) => {
        await nested.transaction((deepest) => register(deepest));
        await transaction.within(nested, async () => noteOutcome());
        throw undo;
      });
      await expect(inner).rejects.toBe(undo);
      expect(outcomes).toEqual(['undone', 'undone']);
      await manager.transaction((nested) => transaction.within(nested, async () => noteOutcome()));
      await addCompany(manager);
      expect(outcomes).toHaveLength(2);
    });
    expect(outcomes).toEqual(['undone', 'undone', 'committed', 'committed']);
    expect(heard).toEqual([]);
    expect(await users.findByLogin(email)).toBeNull();
    expect(await companies()).toBe(1);
  });

  it('a savepoint that was there before us undoes us too', async () => {
    await dataSource.transaction(async (manager) => {
      await expect(
        manager.transaction(async (nested) => {
          await register(nested);
          throw undo;
        }),
      ).rejects.toBe(undo);
      expect(outcomes).toEqual(['undone']);
    });
    expect(await users.findByLogin(email)).toBeNull();
  });

  it('a statement that failed is thrown, also where the work catches it, and a savepoint of the host recovers', async () => {
    await dataSource.transaction(async (manager) => {
      const nested = manager.transaction((inner) =>
        transaction.within(inner, async () => void (await users.create(ada.email, PASSWORD).catch(() => null))),
      );
      await expect(nested).rejects.toThrow(/duplicate key/);
      await register(manager);
    });
    expect(outcomes).toEqual(['committed']);
    expect(await users.findByLogin(email)).not.toBeNull();
  });

  it('the COMMIT of a failed transaction, which PostgreSQL answers with ROLLBACK, is no commit', async () => {
    await dataSource.transaction(async (manager) => {
      await register(manager);
      await fail(manager).catch(() => null);
    });
    expect(outcomes).toEqual(['undone']);
    expect(heard).toEqual([]);
    expect(await users.findByLogin(email)).toBeNull();
  });

  it('a connection that is lost before the commit, in it, or given back without an end', async () => {
    const runner = dataSource.createQueryRunner();
    const begin = async () => {
      await runner.startTransaction();
      await transaction.within(runner.manager, async () => noteOutcome());
    };
    await begin();
    await runner.rollbackTransaction();
    await begin();
    // PostgreSQL ends the connection of a transaction that is idle for longer.
    await runner.query('SET LOCAL idle_in_transaction_session_timeout = 1');
    const client = (await runner.connect()) as { once(event: 'end', listener: () => void): void };
    await new Promise<void>((resolve) => client.once('end', resolve));
    await runner.release();
    expect(outcomes).toEqual(['undone', 'undone']);

    const atCommit = dataSource.transaction(async (manager) => {
      await transaction.within(manager, async () => noteOutcome());
      await manager.query(`CREATE FUNCTION pg_temp.die() RETURNS trigger LANGUAGE plpgsql
        AS $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`);
      await manager.query('CREATE TEMP TABLE late (n integer) ON COMMIT DROP');
      await manager.query(`CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION pg_temp.die()`);
      await manager.query('INSERT INTO late VALUES (1)');
    });
    await expect(atCommit).rejects.toThrow();
    expect(outcomes.slice(2)).toEqual(['unknown']);

    const forgetful = dataSource.createQueryRunner();
    await forgetful.startTransaction();
    const forgotten = (await forgetful.connect()) as Client;
    await transaction.within(forgetful.manager, async () => noteOutcome());
    await forgetful.release();
    expect(outcomes.slice(3)).toEqual(['unknown']);
    await forgotten.query({ text: 'ROLLBACK', values: [] });
    expect(outcomes).toHaveLength(4);
  });

  it('run inside is part of it; two at once on one manager are both part of it', async () => {
    const failed = dataSource.transaction(async (manager) => {
      await Promise.all([
        transaction.within(manager, () => transaction.run(() => users.create(email, PASSWORD))),
        transaction.within(manager, () => users.create(`second-${email}`, PASSWORD)),
      ]);
      await transaction.within(manager, async () => expect(await users.findByLogin(email)).not.toBeNull());
      throw undo;
    });
    await expect(failed).rejects.toBe(undo);
    expect([await users.findByLogin(email), await users.findByLogin(`second-${email}`)]).toEqual([null, null]);
  });

  it('two transactions at once end each on its own', async () => {
    let arrived = 0;
    let open = () => {};
    const both = new Promise<void>((resolve) => (open = resolve));
    const host = (login: string, error?: Error) =>
      dataSource.transaction(async (manager) => {
        await transaction.within(manager, async () => {
          await users.create(login, PASSWORD);
          if (++arrived === 2) open();
          await both;
          noteOutcome();
        });
        if (error) throw error;
      });
    const [done, failed] = await Promise.allSettled([host(email), host(`second-${email}`, undo)]);
    expect([done.status, failed.status]).toEqual(['fulfilled', 'rejected']);
    expect(outcomes.toSorted()).toEqual(['committed', 'undone']);
    expect(await users.findByLogin(email)).not.toBeNull();
    expect(await users.findByLogin(`second-${email}`)).toBeNull();
  });

  it('leaves no trace on the connection, nor on the one that uses it next', async () => {
    const runner = dataSource.createQueryRunner();
    const client = (await runner.connect()) as object;
    const before = [Object.hasOwn(client, 'query'), Object.hasOwn(runner, 'release')];
    await runner.startTransaction();
    await register(runner.manager);
    expect(Object.hasOwn(client, 'query')).toBe(true);
    await runner.commitTransaction();
    expect([Object.hasOwn(client, 'query'), Object.hasOwn(runner, 'release')]).toEqual(before);
    await runner.release();
  });

  it('refuses a manager without a transaction, one that has ended, another DataSource, and another transaction around', async () => {
    const within = (manager: EntityManager) => transaction.within(manager, async () => 'done');
    await expect(within(dataSource.manager)).rejects.toThrow(/no open transaction.*dataSource\.transaction/);
    let ended = dataSource.manager;
    await dataSource.transaction(async (manager) => void (ended = manager));
    await expect(within(ended)).rejects.toThrow(TypeError);
    const other = await new DataSource({ type: 'postgres', url: db.url }).initialize();
    await expect(other.transaction(within)).rejects.toThrow(/another DataSource/);
    await other.destroy();
    await dataSource.transaction(async (manager) => {
      await expect(transaction.run(() => within(manager))).rejects.toThrow(/inside another transaction/);
      const nested = transaction.within(manager, () => dataSource.transaction(within));
      await expect(nested).rejects.toThrow(/inside another transaction/);
      expect(await transaction.within(manager, () => within(manager))).toBe('done');
    });
  });
});
