import { days, type Duration } from '../common/duration.js';
import { isPositive, type OptionChecker } from './option-checker.js';

/** The table `auth_audit_events`: the events of `AuthEvents`, kept for `retention`. */
export class AuditSettings {
  /** Default false: nothing is written. */
  enabled: boolean = false;

  /** `CleanupService` deletes older rows, even after `enabled` has been turned off again. Default 90 days. */
  retention: Duration = days(90);

  /**
   * The most events that wait in memory to be written. When the database is unavailable or too slow, further events are
   * dropped, counted and logged, and no login waits. Default 10,000.
   */
  queue: number = 10_000;
}

export function checkAudit(check: OptionChecker, written: Partial<AuditSettings> | undefined): AuditSettings {
  const audit = check.settings('audit', new AuditSettings(), written);
  check.flag('audit.enabled', audit.enabled);
  check.that(
    isPositive(audit.retention) && audit.retention >= days(1),
    'audit.retention must be a day or more: write it as days(90).',
  );
  check.integer('audit.queue', audit.queue, 1, 1_000_000);
  return audit;
}
