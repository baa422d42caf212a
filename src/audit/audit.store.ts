import type { AuthEvent } from '../events/auth-event.js';

/** Where `AuditLog` stores its events. A fault is thrown, and then nothing has been stored. */
export abstract class AuditStore {
  /** All of them or none, independent of any transaction around it. */
  abstract insert(events: readonly AuthEvent[]): Promise<void>;

  /**
   * Deletes at most `limit` events that happened up to this instant (epoch ms), the oldest first. Returns the number
   * deleted.
   */
  abstract deleteOlderThan(instant: number, limit: number): Promise<number>;
}
