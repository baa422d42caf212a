import { days, type Duration } from '../common/duration.js';

/** The table `auth_audit_events`: the events of `AuthEvents`, kept for `retention`. */
export class AuditSettings {
  /** Default false: nothing is written. */
  enabled: boolean = false;

  /** `CleanupService` deletes older rows, also after `enabled` is turned off again. Default 90 days. */
  retention: Duration = days(90);

  /**
   * The most events that wait in memory to be written. When the database is unavailable or too slow, further events are
   * dropped, counted and logged, and no login waits. Default 10,000.
   */
  queue: number = 10_000;
}
