import type { AuthEvent } from '../events/auth-event.js';

/** Where `AuditLog` keeps its events. A fault is thrown, and nothing is kept then. */
export abstract class AuditStore {
  /** All of them or none, also where a transaction around it is undone. */
  abstract insert(events: readonly AuthEvent[]): Promise<void>;

  /** Deletes at most `limit` events that happened up to this instant (epoch ms), the oldest first. Returns the number deleted. */
  abstract deleteOlderThan(instant: number, limit: number): Promise<number>;
}
