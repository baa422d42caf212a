import { days, hours, minutes, seconds, type Duration } from '../common/duration.js';
import { isPositive, type OptionChecker } from './option-checker.js';

/** A longer timer fires at once: timers count milliseconds in 31 bits, and an interval is lengthened by a tenth. */
const MAX_TIMER = days(20);

/**
 * How expired rows are deleted. Nothing depends on when that happens: an expired row is refused from the instant of its
 * expiry.
 */
export class CleanupSettings {
  /**
   * Default true: expired rows are deleted in the background, by one process at a time. Turn it off if a cron job calls
   * `CleanupService.runOnce()`.
   */
  enabled: boolean = true;

  /** Time between two runs, give or take a random tenth. Default 1 hour. */
  interval: Duration = hours(1);

  /** The most rows in one statement; fewer on a slow machine, see `maxLockTime`. Default 5,000. */
  batch: number = 5_000;

  /**
   * How long one statement may lock the rows it deletes, and so delay a login or logout of the same user. Batches are
   * sized by how long the previous ones took, and aim at half of this. Default 25 ms.
   */
  maxLockTime: Duration = 25;

  /**
   * Rows are kept this much longer than they are valid, so that a process whose clock is slow loses nothing that it
   * still considers live. Default 5 minutes; 0 trusts the clocks.
   */
  leeway: Duration = minutes(5);
}

export function checkCleanup(check: OptionChecker, written: Partial<CleanupSettings> | undefined): CleanupSettings {
  const cleanup = check.settings('cleanup', new CleanupSettings(), written);
  check.flag('cleanup.enabled', cleanup.enabled);
  check.that(
    isPositive(cleanup.interval) && cleanup.interval >= seconds(1) && cleanup.interval <= MAX_TIMER,
    'cleanup.interval must be from a second to 20 days: write it as hours(1).',
  );
  check.integer('cleanup.batch', cleanup.batch, 1, 100_000);
  check.that(
    isPositive(cleanup.maxLockTime) && cleanup.maxLockTime <= 10_000,
    'cleanup.maxLockTime must be from above 0 to 10 seconds: write it in milliseconds, such as 25.',
  );
  check.that(
    cleanup.leeway === 0 || (isPositive(cleanup.leeway) && cleanup.leeway <= days(1)),
    'cleanup.leeway must be from 0 to a day: write it as minutes(5).',
  );
  return cleanup;
}
