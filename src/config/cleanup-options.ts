import { hours, minutes, type Duration } from '../common/duration.js';

/** How rows that are over leave the tables. Nothing depends on when: what is over is refused from that instant on. */
export class CleanupSettings {
  /**
   * Default true: every process tries, and one at a time works. Turn it off where a cron job calls
   * `CleanupService.runOnce()`.
   */
  enabled: boolean = true;

  /** From one run to the next, a tenth more or less by chance. Default 1 hour. */
  interval: Duration = hours(1);

  /** At most this many rows in one statement. Fewer are taken where the machine is slow, see `longestHold`. Default 5,000. */
  batch: number = 5_000;

  /**
   * How long one statement may hold the rows that it deletes, and so keep a login or logout of the same user waiting; the
   * size of a batch follows from what the ones before it took: half of this. Default 25 ms.
   */
  longestHold: Duration = 25;

  /**
   * Rows are kept this much longer than they are good for, so that no process whose clock is behind loses what is alive
   * to it. Default 5 minutes; 0 trusts the clocks.
   */
  leeway: Duration = minutes(5);
}
