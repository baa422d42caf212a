import { seconds, type Duration } from '../common/duration.js';
import type { OptionChecker } from './option-checker.js';

/** How the module uses the DataSource's connections. */
export class DatabaseSettings {
  /**
   * How long a statement waits for a free connection, for a lock and for the answer, each; after that the request gets
   * a 503, and a connection that did not answer is not used again. Default 5 seconds; from 100 ms to a minute. Your own
   * statements are not affected.
   */
  timeout: Duration = seconds(5);
}

export function checkDatabase(check: OptionChecker, written: Partial<DatabaseSettings> | undefined): DatabaseSettings {
  const database = check.settings('database', new DatabaseSettings(), written);
  const { timeout } = database;
  check.that(
    typeof timeout === 'number' && timeout >= 100 && timeout <= 60_000,
    'database.timeout must be from 100 ms to a minute, in milliseconds: write it as seconds(5).',
  );
  return database;
}
