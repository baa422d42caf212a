import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthTransaction,
  EphemeralTokenService,
  RateLimitService,
  PostgresUserDirectory,
  UserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { PreparedStatements } from '../../src/postgres/prepared-statements.js';
import { createUser, PASSWORD, startTestApp, type TestApp } from '../support/app.js';

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
  let t: TestApp;
  let transaction: AuthTransaction;
  let tokens: EphemeralTokenService;
  let users: PostgresUserDirectory;
  let limits: RateLimitService;
  let email: string;
  let accounts = 0;
  beforeAll(async () => {
    t = await startTestApp();
    transaction = t.app.get(AuthTransaction);
    tokens = t.app.get(EphemeralTokenService);
    users = t.app.get(PostgresUserDirectory);
    limits = t.app.get(RateLimitService);
  });
  afterAll(() => t?.close());
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
        statements.afterwards((outcome) => void outcomes.push(outcome));
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
    statements.afterwards((outcome) => void alone.push(outcome));
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
    const host = await startTestApp({ url: t.db.url, auth: { users: HostDirectory } });
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
