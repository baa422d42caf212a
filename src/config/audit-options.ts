import { days, type Duration } from '../common/duration.js';

/** The table `auth_audit_events`: what `AuthEvents` tells, kept for a while. */
export class AuditSettings {
  /** Default false: nothing is written. */
  enabled: boolean = false;

  /** Rows of this age are removed by `CleanupService`, also after `enabled` is turned off again. Default 90 days. */
  retention: Duration = days(90);

  /**
   * Events that wait in the memory of a process to be written; when there are more, because the database is away or too
   * slow, new ones are dropped, counted and logged, and no login waits. Default 10,000.
   */
  queue: number = 10_000;
}
