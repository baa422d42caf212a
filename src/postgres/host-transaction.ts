import type { QueryRunner } from 'typeorm';
import type { Client } from './connection.js';
import type { Statement, StatementResult } from './statement.js';
import { sqlState, toAuthError, wasRefused } from './store-error.js';
import {
  emitOutcome,
  type AfterTransaction,
  type OpenTransaction,
  type Query,
  type TransactionOutcome,
} from './transaction.js';

const ISOLATION: Statement = {
  name: 'isolation',
  text: "SELECT current_setting('transaction_isolation') AS isolation",
};

/** What is known of TypeORM's own count: 1 in a transaction, one more in each savepoint below it. */
type CountingRunner = QueryRunner & { readonly transactionDepth?: number };

/** A statement that failed, or an effect that waits, with the transaction or savepoint in which it was. */
interface At<T> {
  depth: number;
  readonly what: T;
}

/**
 * A transaction that the host has begun on a `QueryRunner` of its own, and will end. How it ends is heard by wrapping
 * `commitTransaction` and `rollbackTransaction` of that one runner: TypeORM tells it to subscribers of the whole
 * DataSource only.
 */
export class HostTransaction {
  private static readonly known = new WeakMap<QueryRunner, HostTransaction>();
  private last: Promise<unknown> = Promise.resolve();
  private effects: At<AfterTransaction>[] = [];
  private failure: At<unknown> | null = null;
  private ended = false;

  /** The one that is under way on this runner; the first call looks at its isolation level. */
  static async of(runner: QueryRunner, query: Query): Promise<HostTransaction> {
    const known = this.known.get(runner);
    if (known && !known.ended) return known;
    const begun = new HostTransaction(runner, (await runner.connect()) as Client, query);
    await begun.checkIsolation();
    begun.listen();
    this.known.set(runner, begun);
    return begun;
  }

  private constructor(
    private readonly runner: CountingRunner,
    private readonly client: Client,
    private readonly query: Query,
  ) {}

  /** Its statements, for as long as `work` runs. */
  async perform<T>(work: (scope: OpenTransaction) => Promise<T>): Promise<T> {
    const scope = {
      open: true,
      run: <Row>(statement: Statement, values: unknown[]) => this.run<Row>(statement, values),
      willTell: (effect: AfterTransaction) => this.willTell(effect),
    };
    try {
      return await work(scope);
    } finally {
      scope.open = false;
      // Nothing of ours may still be under way when the host goes on with its connection.
      await this.last;
    }
  }

  private run<Row>({ name, text }: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    const result = this.last.then(async () => {
      try {
        const { rows, rowCount } = await this.query(this.client, name, { text, values });
        return { rows: rows as Row[], rowCount: rowCount ?? 0 };
      } catch (fault) {
        const error = toAuthError(fault, sqlState(fault), name);
        this.failure ??= { depth: this.depth, what: error };
        throw error;
      }
    });
    this.last = result.then(ignore, ignore);
    return result;
  }

  private willTell(effect: AfterTransaction): boolean {
    if (!this.ended) this.effects.push({ depth: this.depth, what: effect });
    return !this.ended;
  }

  private get depth(): number {
    return this.runner.transactionDepth ?? 1;
  }

  /** The module's locks are taken before a snapshot, which the other levels take first. */
  private async checkIsolation(): Promise<void> {
    const { rows } = await this.run<{ isolation: string }>(ISOLATION, []);
    const { isolation } = rows[0]!;
    if (isolation === 'read committed') return;
    throw new TypeError(`within() needs a transaction at READ COMMITTED, not ${isolation.toUpperCase()}.`);
  }

  private listen(): void {
    const { runner } = this;
    const commit = runner.commitTransaction.bind(runner);
    const rollback = runner.rollbackTransaction.bind(runner);
    const release = runner.release.bind(runner);
    runner.commitTransaction = async () => {
      const { depth } = this;
      // PostgreSQL answers the commit of a failed transaction with a rollback, and no error.
      if (this.failure && this.failure.depth >= depth) throw this.failure.what;
      if (depth > 1) {
        await commit();
        return this.moveUp(depth);
      }
      let outcome: TransactionOutcome = 'unknown';
      try {
        await commit();
        outcome = 'committed';
      } catch (error) {
        if (wasRefused(error)) outcome = 'undone';
        throw error;
      } finally {
        await this.end(outcome);
      }
    };
    runner.rollbackTransaction = async () => {
      const { depth } = this;
      try {
        await rollback();
      } finally {
        if (depth > 1) await this.undo(depth);
        else await this.end('undone');
      }
    };
    runner.release = async () => {
      await this.end('undone');
      await release();
    };
    this.stopListening = () =>
      Object.assign(runner, { commitTransaction: commit, rollbackTransaction: rollback, release });
  }

  private stopListening: () => void = ignore;

  /** A released savepoint is part of what is around it. */
  private moveUp(depth: number): void {
    for (const waiting of this.effects) waiting.depth = Math.min(waiting.depth, depth - 1);
  }

  private async undo(depth: number): Promise<void> {
    if (this.failure && this.failure.depth >= depth) this.failure = null;
    const undone = this.effects.filter((waiting) => waiting.depth >= depth);
    this.effects = this.effects.filter((waiting) => waiting.depth < depth);
    for (const { what } of undone) await emitOutcome(what, 'undone');
  }

  private async end(outcome: TransactionOutcome): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    this.stopListening();
    for (const { what } of this.effects) await emitOutcome(what, outcome);
  }
}

const ignore = () => {};
