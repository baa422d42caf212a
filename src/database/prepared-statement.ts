import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable, Logger } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import { AuthError } from '../auth.errors.js';
import { AuthMetrics } from '../metrics/auth-metrics.js';
import { listeningClient, type ClientPool, type ListenerOptions, type ListeningClient } from './listening-client.js';

/** One SQL statement with a name of its own, so that PostgreSQL parses and plans it once per connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface StatementResult<Row> {
  readonly rows: Row[];
  readonly rowCount: number;
}

/** The part of a `pg` pool that is used here. */
interface Connection {
  query(query: {
    name?: string;
    text: string;
    values: unknown[];
  }): Promise<{ rows: unknown[]; rowCount: number | null }>;
}

interface Client extends Connection {
  release(destroy?: boolean): void;
  on(event: 'error', listener: (error?: Error) => void): void;
  off(event: 'error', listener: (error?: Error) => void): void;
}

/** `unknown`: the answer to the commit was lost, and with it whether it was done. */
export type TransactionOutcome = 'committed' | 'undone' | 'unknown';

/** One that is under way. After `open` it takes no more statements. */
interface Transaction {
  readonly client: Client;
  open: boolean;
  last: Promise<unknown>;
  failure: { error: unknown } | null;
  /** Its outcome is known, and `afterwards` has been told. */
  settled: boolean;
  readonly afterwards: AfterTransaction[];
}

type AfterTransaction = (outcome: TransactionOutcome) => void | Promise<void>;

interface Pool extends Connection, ClientPool {
  connect(): Promise<Client>;
}

const BEGIN: Statement = { name: 'begin', text: 'BEGIN ISOLATION LEVEL READ COMMITTED' };
const COMMIT: Statement = { name: 'commit', text: 'COMMIT' };

const UNDEFINED_TABLE = '42P01';
const UNDEFINED_COLUMN = '42703';
const UNDEFINED_FUNCTION = '42883';
const INVALID_STATEMENT_NAME = '26000';
const FEATURE_NOT_SUPPORTED = '0A000';
const DEADLOCK_DETECTED = '40P01';
const SERIALIZATION_FAILURE = '40001';
const STATEMENT_COMPLETION_UNKNOWN = '40003';

/** Refused before anything ran: the connection lost the statement (a pooler, DISCARD), or a column changed its type. */
const STALE_STATEMENT = new Set([INVALID_STATEMENT_NAME, FEATURE_NOT_SUPPORTED]);
/** Rolled back as a whole by PostgreSQL, which asks for exactly this: try again. */
const TRY_AGAIN = new Set([DEADLOCK_DETECTED, SERIALIZATION_FAILURE]);
const ATTEMPTS = 3;
/**
 * Runs named prepared statements on the DataSource's own connection pool, without TypeORM's query runner and without
 * hydrating an entity: one round trip, plain rows. The hot path of every store goes through here.
 *
 * A fault of the database is thrown as `STORE_UNAVAILABLE` (or `SCHEMA_MISSING`), so that an outage is never mistaken
 * for "not found". An error that names the caller's data (SQLSTATE classes 22 and 23) is thrown as it is.
 */
@Injectable()
export class PreparedStatements {
  constructor(
    private readonly dataSource: DataSource,
    private readonly metrics: AuthMetrics = AuthMetrics.OFF,
  ) {
    if (dataSource.options.type !== 'postgres') {
      const mistake = `The DataSource is of type '${dataSource.options.type}': AuthModule needs 'postgres'.`;
      throw new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] });
    }
  }

  private readonly logger = new Logger('Auth');
  private readonly transactions = new AsyncLocalStorage<Transaction>();
  private readonly waiting: (() => void)[] = [];
  private running = 0;

  /** Within `transaction`, as part of it; else on its own. */
  run<Row>(statement: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    const transaction = this.transactions.getStore();
    // What was started inside and not waited for must not end up in somebody else's use of that connection.
    return transaction?.open
      ? this.runWithin<Row>(transaction, statement, values)
      : this.runAlone<Row>(statement, values);
  }

  /** On its own also within a transaction: for what must stay done when that is undone, such as counting an attempt. */
  async runAlone<Row>(statement: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    for (let attempt = 1; ; attempt++) {
      try {
        const { rows, rowCount } = await this.timed(this.pool, statement.name, { ...statement, values });
        return { rows: rows as Row[], rowCount: rowCount ?? 0 };
      } catch (error) {
        const code = sqlState(error);
        if (code !== undefined && STALE_STATEMENT.has(code) && statement.name) {
          return this.runAlone({ name: '', text: statement.text }, values);
        }
        if (code !== undefined && TRY_AGAIN.has(code) && attempt < ATTEMPTS) continue;
        throw toAuthError(error, code, statement.name);
      }
    }
  }

  /**
   * Everything that `work` runs and waits for, in one transaction: all of it is done, or nothing. A transaction within
   * one is part of it. A statement that fails undoes it all, also where the work catches the error. PostgreSQL may ask
   * for another try (a deadlock), and `work` is then called again.
   *
   * At most half of the pool's connections are in transactions at once, so that work which asks for another connection
   * (a host's own directory) always gets one; further transactions wait for their turn without holding any.
   */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    if (this.transactions.getStore()?.open) return work();
    await this.turn();
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.attempt(work);
        } catch (error) {
          const code = sqlState(error) ?? sqlState((error as Error | null)?.cause);
          if (code !== undefined && TRY_AGAIN.has(code) && attempt < ATTEMPTS) continue;
          throw error;
        }
      }
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.running--;
    }
  }

  /** Whether what runs here is part of a transaction, and so may read what nobody else sees yet. */
  get inTransaction(): boolean {
    return this.transactions.getStore()?.open === true;
  }

  /** Calls `effect` at the end of the transaction, however it ends; without one, now. What it throws is logged. */
  afterwards(effect: AfterTransaction): void {
    const transaction = this.transactions.getStore();
    // Also what was started inside and not waited for, until it is known how the transaction ends.
    if (transaction && !transaction.settled) transaction.afterwards.push(effect);
    else void this.take(effect, 'committed');
  }

  private async take(effect: AfterTransaction, outcome: TransactionOutcome): Promise<void> {
    try {
      await effect(outcome);
    } catch (error) {
      // What has been done is done: its caller must not take it for failed.
      this.logger.error(error);
    }
  }

  private async attempt<T>(work: () => Promise<T>): Promise<T> {
    const client = await this.connect();
    const transaction: Transaction = {
      client,
      open: true,
      last: Promise.resolve(),
      failure: null,
      afterwards: [],
      settled: false,
    };
    // While it is out of the pool nobody else listens, and an `error` without a listener ends the process.
    const lost = (error?: Error) =>
      (transaction.failure ??= { error: toAuthError(error, sqlState(error), 'transaction') });
    client.on('error', lost);
    let broken = true;
    let outcome: TransactionOutcome = 'undone';
    try {
      await this.runWithin(transaction, BEGIN, []);
      const result = await this.transactions.run(transaction, work);
      transaction.open = false;
      await transaction.last;
      if (transaction.failure) throw transaction.failure.error;
      outcome = 'unknown';
      await this.runWithin(transaction, COMMIT, []);
      outcome = 'committed';
      broken = false;
      return result;
    } catch (error) {
      transaction.open = false;
      if (outcome === 'unknown' && wasRefused(error)) outcome = 'undone';
      broken = !(await rolledBack(client));
      throw error;
    } finally {
      client.off('error', lost);
      client.release(broken);
      transaction.settled = true;
      for (const effect of transaction.afterwards) await this.take(effect, outcome);
    }
  }

  private async turn(): Promise<void> {
    const most = Math.max(1, Math.floor((this.pool.options.max ?? 10) / 2));
    if (this.running < most) this.running++;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /**
   * One after the other, as a connection works, and unnamed: a prepared statement that has become stale would cost the
   * whole transaction.
   */
  private runWithin<Row>(
    transaction: Transaction,
    { name, text }: Statement,
    values: unknown[],
  ): Promise<StatementResult<Row>> {
    const result = transaction.last.then(async () => {
      try {
        const { rows, rowCount } = await this.timed(transaction.client, name, { text, values });
        return { rows: rows as Row[], rowCount: rowCount ?? 0 };
      } catch (fault) {
        const error = toAuthError(fault, sqlState(fault), name);
        transaction.failure ??= { error };
        throw error;
      }
    });
    transaction.last = result.then(ignore, ignore);
    return result;
  }

  /** Also of one that fails; of the pool's, with the wait for a connection. */
  private timed(
    connection: Connection,
    name: string,
    query: Parameters<Connection['query']>[0],
  ): ReturnType<Connection['query']> {
    const answer = connection.query(query);
    if (!this.metrics.isOn) return answer;
    const startedAt = performance.now();
    return answer.finally(() => this.metrics.took(name, performance.now() - startedAt));
  }

  private async connect(): Promise<Client> {
    try {
      return await this.pool.connect();
    } catch (error) {
      throw toAuthError(error, sqlState(error), 'connect');
    }
  }

  /** One more connection like the pool's, outside of it: see `listeningClient`. */
  listener(options: ListenerOptions): ListeningClient {
    return listeningClient(this.pool, options);
  }

  /** The DataSource's `schema` option, where the host has set one. */
  get schema(): string | undefined {
    return (this.dataSource.options as { schema?: string }).schema;
  }

  /** The pool that TypeORM opened; its primary when the DataSource has replicas, since a replica lags behind a revocation. */
  private get pool(): Pool {
    return (this.dataSource.driver as unknown as { master: Pool }).master;
  }
}

/** PostgreSQL's five-character error code, where the error is one of the server's. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** The statement that runs into the broken connection throws. */
const ignore = () => {};

/** PostgreSQL has answered the commit itself: a constraint (23) or trigger (P0) checked late, or a roll back (40). */
function wasRefused(error: unknown): boolean {
  const code = sqlState(error) ?? sqlState((error as Error | null)?.cause) ?? '';
  return /^(23|40|P0)/.test(code) && code !== STATEMENT_COMPLETION_UNKNOWN;
}

async function rolledBack(client: Connection): Promise<boolean> {
  try {
    await client.query({ text: 'ROLLBACK', values: [] });
    return true;
  } catch {
    return false;
  }
}

function toAuthError(error: unknown, code: string | undefined, statement: string): unknown {
  if (code === UNDEFINED_TABLE || code === UNDEFINED_COLUMN || code === UNDEFINED_FUNCTION) {
    const detail = (error as Error).message;
    return new AuthError(
      'SCHEMA_MISSING',
      `The schema of nestjs-latchkey is not there (${detail}). Add authMigrations to the DataSource's migrations and run them.`,
      { detail },
      { cause: error },
    );
  }
  if (code?.startsWith('22') || code?.startsWith('23')) return error;
  return new AuthError(
    'STORE_UNAVAILABLE',
    'The database did not answer. Look at the cause; requests are answered again as soon as it is back.',
    { part: statement },
    { cause: error },
  );
}

/** Epoch milliseconds to the argument of `to_timestamp`, which takes seconds. */
export function toEpochSeconds(milliseconds: number): number {
  return milliseconds / 1000;
}

/** `date_part('epoch', …)` to epoch milliseconds, at PostgreSQL's microsecond. */
export function fromEpochSeconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1000;
}
