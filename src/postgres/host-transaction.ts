import { randomUUID } from 'node:crypto';
import type { EntityManager, QueryRunner } from 'typeorm';
import type { Connection } from './connection.js';
import type { Statement, StatementResult } from './statement.js';
import { StatementQueue, type Query } from './statement-queue.js';
import { wasRefused } from './store-error.js';
import { emit, type AfterTransaction, type JoinedTransaction, type TransactionOutcome } from './transaction.js';

/** A `pg` client as TypeORM holds it. */
export interface HostClient extends Connection {
  once(event: 'end', listener: () => void): void;
  off(event: 'end', listener: () => void): void;
}

type Entry = { savepoint: string } | { effect: AfterTransaction };

const SAVEPOINT = /^\s*SAVEPOINT\s+"?(\w+)/i;
const RELEASE = /^\s*RELEASE\s+(?:SAVEPOINT\s+)?"?(\w+)/i;
const ROLLBACK_TO = /^\s*ROLLBACK\s+(?:WORK\s+|TRANSACTION\s+)?TO\s+(?:SAVEPOINT\s+)?"?(\w+)/i;
const COMMIT = /^\s*(?:COMMIT|END)\b/i;
const ROLLBACK = /^\s*(?:ROLLBACK|ABORT)\b/i;

/**
 * A transaction of the application, watched until its end. Only PostgreSQL's answers tell how it ended: it answers the
 * COMMIT of a failed transaction with ROLLBACK, which TypeORM takes for success. So the client is watched, not TypeORM.
 */
export class HostTransaction {
  readonly id = randomUUID();
  settled = false;
  private committing = false;
  private readonly queue: StatementQueue<HostClient>;
  /** Effects that wait for the end, and the savepoints between them, in order. */
  private entries: Entry[] = [];
  private unwatch = () => {};

  constructor(
    private readonly client: HostClient,
    query: Query<HostClient>,
  ) {
    this.queue = new StatementQueue(client, query);
  }

  /** Watches the transaction until its end, and then calls `ended`. */
  watch(runner: QueryRunner, ended: () => void): void {
    const { client } = this;
    const restoreQuery = override(client, 'query', (query) => (...args: unknown[]) => {
      const answer: unknown = Reflect.apply(query, client, args);
      return this.settled || !(answer instanceof Promise) ? answer : this.observed(textOf(args[0]), answer);
    });
    const restoreRelease = override(runner, 'release', (release) => async () => {
      await (Reflect.apply(release, runner, []) as Promise<void>);
      // Returned to the pool with its transaction open: the next borrower of the connection may commit it.
      if (!this.committing) await this.settle('unknown');
    });
    // Without a COMMIT, PostgreSQL rolls back when its client is gone.
    const lost = () => void (this.committing || this.settle('undone'));
    client.once('end', lost);
    this.unwatch = () => {
      restoreQuery();
      restoreRelease();
      client.off('end', lost);
      ended();
    };
  }

  run<Row>(statement: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    return this.queue.run(statement, values);
  }

  /** Resolves when every statement sent so far has been answered. */
  idle(): Promise<void> {
    return this.queue.idle();
  }

  /** The error of one of our statements, as long as it leaves the transaction failed. */
  get failure(): StatementQueue['failure'] {
    return this.queue.failure;
  }

  willEmit(effect: AfterTransaction): boolean {
    if (!this.settled) this.entries.push({ effect });
    return !this.settled;
  }

  private async observed(text: string, answer: Promise<unknown>): Promise<unknown> {
    const back = ROLLBACK_TO.exec(text)?.[1];
    if (back === undefined && ROLLBACK.test(text)) return this.observedRollback(answer);
    if (COMMIT.test(text)) return this.observedCommit(answer);
    const result = await answer;
    const begun = SAVEPOINT.exec(text)?.[1];
    const released = RELEASE.exec(text)?.[1];
    if (back !== undefined) await this.rolledBackTo(back);
    else if (begun !== undefined) this.entries.push({ savepoint: begun });
    else if (released !== undefined) this.released(released);
    return result;
  }

  /** Even if it fails: nothing has been committed, and the connection is not used again. */
  private async observedRollback(answer: Promise<unknown>): Promise<unknown> {
    try {
      return await answer;
    } finally {
      await this.settle('undone');
    }
  }

  private async observedCommit(answer: Promise<unknown>): Promise<unknown> {
    this.committing = true;
    let outcome: TransactionOutcome = 'unknown';
    try {
      const result = await answer;
      outcome = (result as { command?: string }).command === 'COMMIT' ? 'committed' : 'undone';
      return result;
    } catch (error) {
      if (wasRefused(error)) outcome = 'undone';
      throw error;
    } finally {
      await this.settle(outcome);
    }
  }

  /** The savepoint itself stays. An unknown one is older than everything of ours. */
  private async rolledBackTo(savepoint: string): Promise<void> {
    const undone = this.entries.splice(this.indexOf(savepoint) + 1);
    this.queue.failure = null;
    await emitAll(undone, 'undone');
  }

  /** Everything after it now belongs to the enclosing savepoint or transaction. */
  private released(savepoint: string): void {
    const index = this.indexOf(savepoint);
    this.entries = this.entries.filter((entry, at) => at < index || 'effect' in entry);
  }

  private indexOf(savepoint: string): number {
    return this.entries.findLastIndex((entry) => 'savepoint' in entry && entry.savepoint === savepoint);
  }

  private async settle(outcome: TransactionOutcome): Promise<void> {
    if (this.settled) return;
    this.settled = true;
    this.unwatch();
    await emitAll(this.entries.splice(0), outcome);
  }
}

/**
 * One call of `within`: it takes statements until its end, and its effects wait for the end of the transaction around
 * it.
 */
export class HostTransactionScope implements JoinedTransaction {
  private ended = false;

  constructor(readonly host: HostTransaction) {}

  get id(): string {
    return this.host.id;
  }

  get open(): boolean {
    return !this.ended && !this.host.settled;
  }

  async perform<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.ended = true;
      await this.host.idle();
      // The work may have caught the error: the caller must not go on to a COMMIT that PostgreSQL turns into a
      // ROLLBACK.
      if (this.host.failure) throw this.host.failure.error;
      return result;
    } finally {
      this.ended = true;
      // The caller's next statement must not overtake one that the work has not awaited.
      await this.host.idle();
    }
  }

  run<Row>(statement: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    return this.host.run(statement, values);
  }

  willEmit(effect: AfterTransaction): boolean {
    return this.host.willEmit(effect);
  }
}

/** The query runner of the caller's open transaction. Throws a `TypeError` if there is none on this DataSource. */
export function transactionOf(manager: EntityManager, dataSource: unknown): QueryRunner {
  // TypeORM 1 calls it `dataSource`, 0.3 `connection`.
  const its = manager as unknown as { dataSource?: unknown; connection?: unknown };
  if ((its.dataSource ?? its.connection) !== dataSource) {
    throw new TypeError(
      "This EntityManager belongs to another DataSource than AuthModule's: one transaction cannot span both. " +
        'Call `transaction` on the DataSource that AuthModule uses, and pass its manager.',
    );
  }
  const runner = manager.queryRunner;
  if (!runner || runner.isReleased || !runner.isTransactionActive) {
    throw new TypeError(
      'This EntityManager has no open transaction. Pass the one that `dataSource.transaction(async (manager) => …)` ' +
        'gives you, before it ends; without a transaction of your own, use AuthTransaction.run.',
    );
  }
  return runner;
}

async function emitAll(entries: Entry[], outcome: TransactionOutcome): Promise<void> {
  for (const entry of entries) if ('effect' in entry) await emit(entry.effect, outcome);
}

function textOf(query: unknown): string {
  const text = typeof query === 'string' ? query : (query as { text?: unknown } | null)?.text;
  return typeof text === 'string' ? text : '';
}

/** Replaces a method of this one object. Returns a function that restores it, unless someone else has replaced ours. */
function override<T extends object>(
  target: T,
  name: keyof T & string,
  by: (method: (...args: unknown[]) => unknown) => (...args: unknown[]) => unknown,
): () => void {
  const own = Object.getOwnPropertyDescriptor(target, name);
  const value = by(target[name] as (...args: unknown[]) => unknown);
  Object.defineProperty(target, name, {
    value,
    configurable: true,
    writable: true,
    enumerable: own?.enumerable ?? false,
  });
  return () => {
    if (target[name] !== value) return;
    if (own) Object.defineProperty(target, name, own);
    else Reflect.deleteProperty(target, name);
  };
}
