import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type { Client } from './connection.js';
import type { Statement, StatementResult } from './statement.js';
import { StatementQueue, type Query } from './statement-queue.js';
import { sqlState, sqlStateOrCause, toAuthError, wasRefused } from './store-error.js';

/** `unknown`: the answer to the commit was lost, so it may or may not have happened. */
export type TransactionOutcome = 'committed' | 'undone' | 'unknown';

export type AfterTransaction = (outcome: TransactionOutcome) => void | Promise<void>;

/** A transaction, as the statements inside it see it. */
export interface JoinedTransaction {
  /** No other one has it. */
  readonly id: string;
  /** False once it takes no more statements. */
  readonly open: boolean;
  run<Row>(statement: Statement, values: unknown[]): Promise<StatementResult<Row>>;
  /** Whether it will call `effect` at its end; false once it has ended. */
  willEmit(effect: AfterTransaction): boolean;
}

const BEGIN: Statement = { name: 'begin', text: 'BEGIN ISOLATION LEVEL READ COMMITTED' };
const COMMIT: Statement = { name: 'commit', text: 'COMMIT' };

/** One transaction on one connection, from its beginning until the connection is back in its pool. */
export class Transaction implements JoinedTransaction {
  readonly id = randomUUID();
  open = true;
  private readonly queue: StatementQueue<Client>;
  private settled = false;
  private readonly effects: AfterTransaction[] = [];

  constructor(
    private readonly client: Client,
    private readonly query: Query<Client>,
  ) {
    this.queue = new StatementQueue(client, query);
  }

  /** Commits everything that `work` ran and awaited, or nothing. A statement that fails rolls all of it back. */
  async perform<T>(work: () => Promise<T>): Promise<T> {
    // While it is checked out the pool does not listen, and an `error` without a listener ends the process.
    const lost = (error?: Error) =>
      (this.queue.failure ??= { error: toAuthError(error, sqlState(error), 'transaction') });
    this.client.on('error', lost);
    let broken = true;
    let outcome: TransactionOutcome = 'undone';
    try {
      await this.run(BEGIN, []);
      const result = await work();
      this.open = false;
      await this.queue.idle();
      if (this.queue.failure) throw this.queue.failure.error;
      outcome = 'unknown';
      await this.run(COMMIT, []);
      outcome = 'committed';
      broken = false;
      return result;
    } catch (error) {
      this.open = false;
      if (outcome === 'unknown' && wasRefused(error)) outcome = 'undone';
      // A connection that did not answer is not used again: the ROLLBACK would wait behind the stuck statement.
      const isDeaf = this.queue.failure !== null && sqlStateOrCause(this.queue.failure.error) === undefined;
      broken = isDeaf || !(await this.rolledBack());
      throw error;
    } finally {
      this.client.off('error', lost);
      this.client.release(broken);
      this.settled = true;
      for (const effect of this.effects) await emit(effect, outcome);
    }
  }

  run<Row>(statement: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    return this.queue.run(statement, values);
  }

  private async rolledBack(): Promise<boolean> {
    try {
      await this.query(this.client, 'rollback', { text: 'ROLLBACK', values: [] });
      return true;
    } catch {
      return false;
    }
  }

  willEmit(effect: AfterTransaction): boolean {
    if (!this.settled) this.effects.push(effect);
    return !this.settled;
  }
}

/** Calls `effect`. What it throws is logged. */
export async function emit(effect: AfterTransaction, outcome: TransactionOutcome): Promise<void> {
  try {
    await effect(outcome);
  } catch (error) {
    // The transaction has ended, and its caller must not take it for failed.
    new Logger('Auth').error(error);
  }
}
