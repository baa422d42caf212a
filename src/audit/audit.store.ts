import type { AuthEvent } from '../events/auth-event.js';

/** One line of what has happened to an account, for its owner. */
export interface AuditedEvent {
  readonly type: AuthEvent['type'];
  /** Epoch ms. */
  readonly at: number;
  readonly ip: string | null;
}

/** Where `AuditLog` stores its events. A fault is thrown, and then nothing has been stored. */
export abstract class AuditStore {
  /** All of them or none, independent of any transaction around it. */
  abstract insert(events: readonly AuthEvent[]): Promise<void>;

  /** The latest events of these types of this user, the newest first. */
  abstract latestOf(userId: string, types: readonly AuthEvent['type'][], limit: number): Promise<AuditedEvent[]>;

  /**
   * Deletes at most `limit` events that happened up to this instant (epoch ms), the oldest first. Returns the number
   * deleted.
   */
  abstract deleteOlderThan(instant: number, limit: number): Promise<number>;
}
