import type { Duration } from '../common/duration.js';

/** How the deletion of expired rows is doing. Instants are epoch ms; `null`: not yet. */
export interface CleanupReport {
  readonly lastRunAt: number | null;
  readonly lastSuccessAt: number | null;
  /** Of the last run; `null` when it succeeded. It is shown to nobody, only that there is one. */
  readonly lastError: unknown;
  /** For how long the oldest row that is still there has been expired; `null` when that is not known. */
  readonly lag: Duration | null;
}

/** What `AuthHealthIndicator` asks of the cleanup. */
export abstract class CleanupState {
  abstract readonly state: CleanupReport;
}
