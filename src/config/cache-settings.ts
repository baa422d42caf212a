import { accessSync, constants, statSync } from 'node:fs';
import { seconds, type Duration } from '../common/duration.js';
import { isPositive, type OptionChecker } from './option-checker.js';

/**
 * Reads answered from the memory of each process: sessions, the users of JWTs and signed cookies, and the list of
 * revoked tokens. A revocation reaches every process through `channel`.
 */
export class CacheSettings {
  /** Default false: every request reads the database, and nothing is ever stale. */
  enabled: boolean = false;

  /**
   * How processes learn of each other's changes. `postgres` (default): LISTEN/NOTIFY, on one connection per process
   * beside the pool. `local`: not at all, for a single process; with several, a session that another process has ended
   * stays valid for up to `ttl`.
   */
  channel: 'postgres' | 'local' = 'postgres';

  /**
   * Address of the database for the listening connection, if the DataSource goes through a pooler in transaction mode,
   * which delivers no notifications. Default `null`: that of the DataSource.
   */
  url: string | null = null;

  /**
   * How long a process trusts its memory without proof that it receives every change, which is how long an ended
   * session can stay valid if the connection breaks silently. Default 5 seconds; normally a revocation takes
   * milliseconds. Pings are sent four times as often.
   */
  maxStaleness: Duration = seconds(5);

  /**
   * An entry is read again at this age, whatever the channel reports. Default 10 seconds. It bounds how long an
   * unpublished change in a user table of your own goes unnoticed.
   */
  ttl: Duration = seconds(10);

  /** The most sessions, and the most users, in the memory of a process. Default 10,000; 0 keeps no sessions. */
  maxSessions: number = 10_000;

  /** With more revoked tokens than this, the list is not kept in memory. Default 100,000. */
  maxRevokedTokens: number = 100_000;
}

export function checkCache(check: OptionChecker, written: Partial<CacheSettings> | undefined): CacheSettings {
  const cache = check.settings('cache', new CacheSettings(), written);
  check.flag('cache.enabled', cache.enabled);
  check.oneOf('cache.channel', cache.channel, ['postgres', 'local']);
  check.that(
    cache.url === null || isPostgresUrl(cache.url),
    "cache.url must be an address such as 'postgres://user:password@host/database', or null for the DataSource's.",
  );
  const unreadable = unreadableFile(cache.url);
  check.that(
    unreadable === null,
    `cache.url names a file that cannot be read (${unreadable}): correct sslrootcert, sslcert or sslkey.`,
  );
  check.that(
    isPositive(cache.maxStaleness) && cache.maxStaleness >= 100 && cache.maxStaleness <= 60_000,
    'cache.maxStaleness must be from 100 ms to a minute: write it as seconds(5).',
  );
  check.duration('cache.ttl', cache.ttl);
  check.integer('cache.maxSessions', cache.maxSessions, 0, 10_000_000);
  check.integer('cache.maxRevokedTokens', cache.maxRevokedTokens, 0, 10_000_000);
  return cache;
}

function isPostgresUrl(value: unknown): value is string {
  if (typeof value !== 'string' || !/^postgres(ql)?:\/\//.test(value) || !URL.canParse(value)) return false;
  const { hostname, username, password, pathname } = new URL(value);
  const isEscaped = [username, password, pathname].every((part) => !/%(?![0-9a-f]{2})/i.test(part));
  return hostname !== '' && isEscaped;
}

/** `pg` would say so when the listening connection is made: again and again, and in the log only. */
function unreadableFile(url: unknown): string | null {
  if (!isPostgresUrl(url)) return null;
  const { searchParams } = new URL(url);
  const files = ['sslrootcert', 'sslcert', 'sslkey'].flatMap((name) => searchParams.get(name) ?? []);
  return files.find((file) => !isReadable(file)) ?? null;
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
