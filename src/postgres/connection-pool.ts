import type { Duration } from '../common/duration.js';
import { cancelStatement } from './cancel-request.js';
import type { Client, Connection } from './connection.js';
import type { ClientPool } from './listening-client.js';
import { sqlState, toAuthError } from './store-error.js';

/** The part of a `pg` pool that is used here. */
export interface Pool extends ClientPool {
  readonly options: ClientPool['options'] & { readonly connectionTimeoutMillis?: number };
  Client: ClientPool['Client'];
  /** The number of idle connections. */
  readonly idleCount: number;
  /** The number of callers waiting for one. */
  readonly waitingCount: number;
  connect(): Promise<Client>;
  /** Called before a connection is handed out. */
  on(event: 'acquire', listener: (client: Pick<Client, 'on'>) => void): void;
}

type Query = Parameters<Connection['query']>[0];
type Answer = ReturnType<Connection['query']>;

/** The message of `pg` once `query_timeout` is over. */
const NO_ANSWER = 'Query read timeout';

/**
 * The connections of the DataSource's pool. Neither a connection nor an answer is awaited for longer than `timeout`: a
 * connection that did not answer in time is closed, and the server is asked to abandon its statement.
 */
export class ConnectionPool {
  constructor(
    private readonly pool: () => Pool,
    private readonly timeout: Duration,
  ) {
    giveUpConnecting(pool(), timeout);
    surviveErrors(pool());
  }

  get max(): number {
    return this.pool().options.max ?? 10;
  }

  /** Runs one statement on any free connection. */
  async query(query: Query): Answer {
    const client = await this.connect();
    let broken = false;
    try {
      return await client.query({ ...query, query_timeout: this.timeout });
    } catch (error) {
      this.cancelIfUnanswered(client, error);
      broken = sqlState(error) === undefined;
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /** A connection, which the caller must release. Throws `STORE_UNAVAILABLE` if none is free in time. */
  async connect(): Promise<Client> {
    const pool = this.pool();
    // An idle connection is handed out at once, so it needs no timer: a twentieth of our processor time for a statement.
    const isIdle = pool.idleCount > pool.waitingCount;
    const lent = pool.connect();
    try {
      return await (isIdle ? lent : this.inTime(lent));
    } catch (error) {
      throw toAuthError(error, sqlState(error), 'connect');
    }
  }

  /** A connection that is handed out too late goes back to the pool. */
  private async inTime(lent: Promise<Client>): Promise<Client> {
    let timer: NodeJS.Timeout | undefined;
    let isLate = false;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        isLate = true;
        reject(new Error(`No connection was free within ${this.timeout} ms.`));
      }, this.timeout);
    });
    lent.then(
      (client) => isLate && client.release(),
      () => {},
    );
    try {
      return await Promise.race([lent, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Runs a statement on a connection that the caller holds. If it fails without a code, that connection cannot be used
   * any longer.
   */
  async ask(client: Client, query: Query): Answer {
    try {
      return await client.query({ ...query, query_timeout: this.timeout });
    } catch (error) {
      this.cancelIfUnanswered(client, error);
      throw error;
    }
  }

  private cancelIfUnanswered(client: Client, error: unknown): void {
    if ((error as Error).message === NO_ANSWER) cancelStatement(this.pool(), client);
  }
}

/**
 * A server that accepts a connection and never answers would occupy a place in the pool for ever, unless the
 * application has set a limit (`connectTimeoutMS` of TypeORM). How long callers wait for a free connection remains up
 * to the application.
 */
function giveUpConnecting(pool: Pool, connectionTimeoutMillis: Duration): void {
  const { Client, options } = pool;
  if (options.connectionTimeoutMillis || isLimited in Client) return;
  class LimitedClient extends Client {
    static readonly [isLimited] = true;

    constructor(own: ClientPool['options']) {
      // pg-pool hides the password and TLS from enumeration.
      super({ ...own, password: own.password, ssl: own.ssl, connectionTimeoutMillis });
    }
  }
  pool.Client = LimitedClient;
}

const isLimited = Symbol('nestjs-latchkey: connecting has a limit');

/**
 * The pool listens to a connection only while it is idle. An `error` without a listener would end the process, for
 * example when the server's last words are in the same packet as its greeting; the current statement fails anyway.
 */
function surviveErrors(pool: Pool): void {
  if (survives.has(pool)) return;
  survives.add(pool);
  pool.on('acquire', (client) => {
    if (survives.has(client)) return;
    survives.add(client);
    client.on('error', () => {});
  });
}

const survives = new WeakSet<object>();
