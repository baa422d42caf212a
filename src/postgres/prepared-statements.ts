import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable, Logger } from '@nestjs/common';
import type { DataSource, EntityManager } from 'typeorm';
import { AuthError } from '../auth.errors.js';
import type { Duration } from '../common/duration.js';
import { DatabaseSettings } from '../config/database-settings.js';
import { AuthMetrics } from '../metrics/auth-metrics.js';
import { ConnectionPool, type Pool } from './connection-pool.js';
import { LockQueues, tooManyAtOnce } from './lock-queues.js';
import { listeningClient, type ListenerOptions, type ListeningClient } from './listening-client.js';
import type { Statement, StatementResult } from './statement.js';
import { NOT_OURS, sqlState, sqlStateOrCause, STALE_STATEMENT, toAuthError, TRY_AGAIN } from './store-error.js';
import { HostTransaction, HostTransactionScope, transactionOf, type HostClient } from './host-transaction.js';
import { emit, Transaction, type AfterTransaction, type JoinedTransaction } from './transaction.js';
import { Semaphore } from '../common/semaphore.js';

const ATTEMPTS = 3;

/**
 * Runs named prepared statements on the DataSource's own connection pool, without TypeORM's query runner and without
 * hydrating an entity: one round trip, plain rows. The hot path of every store goes through here.
 *
 * Nothing waits for longer than `database.timeout`: neither for a connection, nor for a lock, nor for an answer. Behind
 * a pooler in transaction mode, which hands one connection to many clients, statements are sent without a name.
 *
 * A fault of the database is thrown as `STORE_UNAVAILABLE` (or `SCHEMA_MISSING`), so that an outage is never mistaken
 * for "not found". An error about the caller's data (SQLSTATE classes 22 and 23) is thrown as it is.
 */
@Injectable()
export class PreparedStatements {
  // Its options and connections contain the database's password.
  readonly #dataSource: DataSource;

  constructor(
    dataSource: DataSource,
    private readonly metrics: AuthMetrics = AuthMetrics.OFF,
    { timeout }: Readonly<DatabaseSettings> = new DatabaseSettings(),
  ) {
    if (dataSource.options.type !== 'postgres') {
      const mistake = `The DataSource is of type '${dataSource.options.type}': AuthModule needs 'postgres'.`;
      throw new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] });
    }
    this.#dataSource = dataSource;
    const { max } = this.#primary.options;
    if (max !== undefined && max < 2) {
      const mistake =
        `The DataSource's pool has ${max} connection: give it at least 2 (extra: { max: 10 }), since what must stay done when ` +
        'a transaction is undone, such as counting an attempt, needs one beside it.';
      throw new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] });
    }
    this.pool = new ConnectionPool(() => this.#primary, timeout);
    this.timeout = timeout;
    this.locks = new LockQueues(timeout);
  }

  private readonly pool: ConnectionPool;
  private readonly locks: LockQueues;
  private readonly timeout: Duration;
  private readonly logger = new Logger('Auth');
  /** Whether connections keep what was prepared on them. */
  private keepsNames = true;
  private readonly transactions = new AsyncLocalStorage<JoinedTransaction>();
  readonly #hostTransactions = new Map<HostClient, HostTransaction>();
  private readonly semaphore = new Semaphore(() => Math.max(1, Math.floor(this.pool.max / 2)));

  /** As part of the transaction around it, if there is one; otherwise on its own. */
  run<Row>(statement: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    const transaction = this.transactions.getStore();
    // A call that was started inside and not awaited must not run in the connection's next transaction.
    return transaction?.open ? transaction.run<Row>(statement, values) : this.runAlone<Row>(statement, values);
  }

  /** On its own even within a transaction: for what must survive a rollback, such as counting an attempt. */
  async runAlone<Row>({ name, text }: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    let isNamed = this.keepsNames && name !== '';
    for (let attempt = 1; ; attempt++) {
      try {
        const query = isNamed ? { name, text, values } : { text, values };
        const { rows, rowCount } = await this.timed(name, () => this.pool.query(query));
        return { rows: rows as Row[], rowCount: rowCount ?? 0 };
      } catch (error) {
        const code = sqlState(error);
        if (isNamed && code !== undefined && STALE_STATEMENT.has(code)) {
          if (NOT_OURS.has(code)) this.dropNames();
          isNamed = false;
          continue;
        }
        if (code !== undefined && TRY_AGAIN.has(code) && attempt < ATTEMPTS) continue;
        throw toAuthError(error, code, name);
      }
    }
  }

  /**
   * As `run`, for a statement that may wait for a lock: only a few with the same key run at once, so that whoever holds
   * that lock for long does not tie up all connections.
   */
  async runLocking<Row>(key: string, statement: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    if (this.inTransaction) return this.run<Row>(statement, values);
    return this.locks.run(key, () => this.runAlone<Row>(statement, values));
  }

  /**
   * Runs everything in `work` in one transaction: all of it is done, or nothing. A transaction inside another is part
   * of it. A statement that fails rolls everything back, even if `work` catches the error. After a deadlock `work` is
   * called again.
   *
   * At most half of the pool's connections are in transactions at once, so that work which needs another connection
   * (for a user directory of the application's own) always gets one; further transactions wait without holding any.
   */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    if (this.transactions.getStore()?.open) return work();
    if (!(await this.semaphore.acquire(this.timeout))) throw tooManyAtOnce('transaction', this.timeout);
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          const transaction = new Transaction(await this.pool.connect(), (client, name, query) =>
            this.timed(name, () => this.pool.ask(client, query)),
          );
          return await transaction.perform(() => this.transactions.run(transaction, work));
        } catch (error) {
          const code = sqlStateOrCause(error);
          if (code !== undefined && TRY_AGAIN.has(code) && attempt < ATTEMPTS) continue;
          throw error;
        }
      }
    } finally {
      this.semaphore.release();
      this.restStorage();
    }
  }

  /** As `transaction`, for work that first waits for a lock: see `runLocking`. */
  async transactionLocking<T>(key: string, work: () => Promise<T>): Promise<T> {
    if (this.inTransaction) return work();
    return this.locks.run(key, () => this.transaction(work));
  }

  /**
   * Runs everything in `work` on the connection of the caller's own open transaction, and takes effect when that
   * commits. Events and invalidations wait for its end. Throws a `TypeError` for a manager without an open transaction
   * or of another DataSource, and inside another transaction.
   */
  async within<T>(manager: EntityManager, work: () => Promise<T>): Promise<T> {
    const runner = transactionOf(manager, this.#dataSource);
    const client = (await runner.connect()) as HostClient;
    const host = this.#hostTransactions.get(client) ?? this.hostTransaction(client);
    const around = this.transactions.getStore();
    if (around?.open && !(around instanceof HostTransactionScope && around.host === host)) {
      throw new TypeError(
        'AuthTransaction.within was called inside another transaction of AuthTransaction. ' +
          'Call it around that one: AuthTransaction.run inside of within is part of it.',
      );
    }
    if (!this.#hostTransactions.has(client)) {
      this.#hostTransactions.set(client, host);
      host.watch(runner, () => {
        this.#hostTransactions.delete(client);
        this.restStorage();
      });
    }
    const scope = new HostTransactionScope(host);
    return scope.perform(() => this.transactions.run(scope, work));
  }

  /**
   * Before Node 24, an AsyncLocalStorage in use slows down every promise of the process, and a statement by a tenth.
   */
  private restStorage(): void {
    if (this.semaphore.isIdle && this.#hostTransactions.size === 0) this.transactions.disable();
  }

  /** Whether this code runs in a transaction, where it may read its own uncommitted changes. */
  get inTransaction(): boolean {
    return this.transactionId !== null;
  }

  /** Which transaction this code runs in; `null` if in none. */
  get transactionId(): string | null {
    const transaction = this.transactions.getStore();
    return transaction?.open ? transaction.id : null;
  }

  /**
   * Calls `effect` at the end of the transaction, however it ends; without a transaction, now. What it throws is
   * logged.
   */
  afterTransaction(effect: AfterTransaction): void {
    // Calls that were started inside and not awaited count too, until it is known how the transaction ended.
    if (!this.transactions.getStore()?.willEmit(effect)) void emit(effect, 'committed');
  }

  /** Counts failed statements too; on the pool, including the wait for a connection. */
  private timed<T>(name: string, ask: () => Promise<T>): Promise<T> {
    if (!this.metrics.isOn) return ask();
    const startedAt = performance.now();
    return ask().finally(() => this.metrics.took(name, performance.now() - startedAt));
  }

  /** On the application's connection, with its own timeouts. */
  private hostTransaction(client: HostClient): HostTransaction {
    return new HostTransaction(client, (connection, name, query) => this.timed(name, () => connection.query(query)));
  }

  private dropNames(): void {
    if (this.keepsNames) {
      this.logger.warn(
        'The connections do not keep prepared statements: the database is behind a pooler in transaction mode, or something ' +
          'runs DISCARD or DEALLOCATE. Statements are sent without a name from now on, which costs the database a little more. ' +
          'PgBouncer 1.21 and newer keeps them with max_prepared_statements.',
      );
    }
    this.keepsNames = false;
  }

  /** A connection like the pool's, outside of it: see `listeningClient`. */
  listener(options: ListenerOptions): ListeningClient {
    return listeningClient(this.#primary, options);
  }

  /** The DataSource's `schema` option, if set. */
  get schema(): string | undefined {
    return (this.#dataSource.options as { schema?: string }).schema;
  }

  /** The DataSource's `entityPrefix` option, if set. */
  get entityPrefix(): string | undefined {
    return this.#dataSource.options.entityPrefix;
  }

  /** The type that the DataSource's entity on this table gives this column, if there is such an entity. */
  entityColumnType(table: string, column: string): string | undefined {
    const entity = this.#dataSource.entityMetadatas.find(({ tableName }) => tableName === table);
    const type = entity?.columns.find(({ databaseName }) => databaseName === column)?.type;
    return typeof type === 'string' ? type : undefined;
  }

  /**
   * The pool that TypeORM opened; the primary's if the DataSource has replicas, since a replica lags behind a
   * revocation.
   */
  get #primary(): Pool {
    return (this.#dataSource.driver as unknown as { master: Pool }).master;
  }
}
