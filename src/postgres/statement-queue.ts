import type { Connection } from './connection.js';
import type { Statement, StatementResult } from './statement.js';
import { sqlState, toAuthError } from './store-error.js';

/** Sends a query on this connection; `name` is for the metrics. */
export type Query<Of extends Connection = Connection> = (
  connection: Of,
  name: string,
  query: Parameters<Connection['query']>[0],
) => ReturnType<Connection['query']>;

/**
 * Runs the statements of one transaction one after the other, as a connection does, and unnamed, since a stale prepared
 * statement would fail the whole transaction.
 */
export class StatementQueue<Of extends Connection = Connection> {
  /** The error of the first statement that failed, and with it the transaction. */
  failure: { error: unknown } | null = null;
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly connection: Of,
    private readonly query: Query<Of>,
  ) {}

  run<Row>({ name, text }: Statement, values: unknown[]): Promise<StatementResult<Row>> {
    const result = this.last.then(async () => {
      try {
        const { rows, rowCount } = await this.query(this.connection, name, { text, values });
        return { rows: rows as Row[], rowCount: rowCount ?? 0 };
      } catch (fault) {
        const error = toAuthError(fault, sqlState(fault), name);
        this.failure ??= { error };
        throw error;
      }
    });
    // Its caller gets the error; the next statement will find the connection broken itself.
    this.last = result.catch(() => {});
    return result;
  }

  /** Resolves when every statement sent so far has been answered. */
  async idle(): Promise<void> {
    await this.last;
  }
}
