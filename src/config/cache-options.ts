import { seconds, type Duration } from '../common/duration.js';

/**
 * Reads answered from the memory of each process: sessions, the users of JWTs and signed cookies, and the list of ended
 * tokens. A revocation reaches every process through `channel`.
 */
export class CacheSettings {
  /** Default false: every request reads the database, and nothing is ever stale. */
  enabled: boolean = false;

  /**
   * How the processes hear of each other's changes. `postgres` (default): LISTEN/NOTIFY, on one connection a process
   * beside the pool. `local`: not at all, for one process alone; with several, a session that another one has ended
   * lives up to `ttl`.
   */
  channel: 'postgres' | 'local' = 'postgres';

  /**
   * Address of the database for the listening connection, where the DataSource's leads to a pooler in transaction mode,
   * which delivers no notifications. Default `null`: as the DataSource.
   */
  url: string | null = null;

  /**
   * The longest that a process trusts its memory without proof that it hears everything, and so the longest that an
   * ended session can be answered when the connection breaks without a word. Default 5 seconds; while all is well a
   * revocation takes milliseconds. A process pings four times as often.
   */
  maxStaleness: Duration = seconds(5);

  /**
   * An entry is read again at this age, whatever the channel says. Default 10 seconds (seed 004). It bounds how long a
   * change in a user table of the host's own goes unnoticed that nobody has published.
   */
  ttl: Duration = seconds(10);

  /** At most this many sessions, and as many users, in the memory of a process. Default 10,000; 0 keeps no sessions. */
  maxSessions: number = 10_000;

  /** With more tokens ended before their time than this, memory gives up on the list. Default 100,000. */
  maxRevokedTokens: number = 100_000;
}
