import type { Duration } from '../common/duration.js';

/** How the deletion of expired rows is doing. Instants are epoch ms; `null`: not yet. */
export interface CleanupProgressFacts {
  readonly lastRunAt: number | null;
  readonly lastSuccessAt: number | null;
  /** Of the last run; `null` if it succeeded. The error itself is never shown, only that there was one. */
  readonly lastError: unknown;
  /** How long the next success is overdue; 0 while it is not. */
  readonly lag: Duration;
}

/** What `AuthHealthIndicator` asks of the cleanup. */
export abstract class CleanupProgress {
  abstract readonly state: CleanupProgressFacts;
}
