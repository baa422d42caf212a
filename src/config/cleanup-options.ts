import { hours, minutes, type Duration } from '../common/duration.js';

/**
 * How expired rows are deleted. Nothing depends on when that happens: an expired row is refused from that instant on.
 */
export class CleanupSettings {
  /**
   * Default true: expired rows are deleted in the background, by one process at a time. Turn it off if a cron job calls
   * `CleanupService.runOnce()`.
   */
  enabled: boolean = true;

  /** Time between two runs, give or take a random tenth. Default 1 hour. */
  interval: Duration = hours(1);

  /** The most rows in one statement; fewer on a slow machine, see `longestHold`. Default 5,000. */
  batch: number = 5_000;

  /**
   * How long one statement may lock the rows that it deletes, and so delay a login or logout of the same user. Batches
   * are sized by the time that the ones before took, to take half of this. Default 25 ms.
   */
  longestHold: Duration = 25;

  /**
   * Rows are kept this much longer than they are valid, so that a process whose clock is slow loses nothing that it
   * still considers live. Default 5 minutes; 0 trusts the clocks.
   */
  leeway: Duration = minutes(5);
}
