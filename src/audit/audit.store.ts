import type { AuthEvent } from '../events/auth-event.js';

/** One line of what has happened to an account, for its owner. */
export interface AuditedEvent {
  readonly type: AuthEvent['type'];
  /** Epoch ms. */
  readonly at: number;
  readonly ip: string | null;
}

/** One line of the audit, for operators. */
export interface AuditEntry extends AuditedEvent {
  /** Of the row. */
  readonly id: string;
  readonly userId: string | null;
  /** The name that was typed, if any. */
  readonly login: string | null;
  /** Everything else that the event says, such as its `reason`. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Some of all lines, the newest first. */
export interface AuditPart {
  /** Only those of this user. */
  readonly userId?: string | undefined;
  /** Only those before this line, which may be the last one of the part before. */
  readonly before?: string | undefined;
  /** At most so many. */
  readonly limit: number;
}

/** Where `AuditLog` stores its events. A fault is thrown, and then nothing has been stored. */
export abstract class AuditStore {
  /** All of them or none, independent of any transaction around it. */
  abstract insert(events: readonly AuthEvent[]): Promise<void>;

  /** The latest events of these types of this user, the newest first. */
  abstract latestOf(userId: string, types: readonly AuthEvent['type'][], limit: number): Promise<AuditedEvent[]>;

  /** Some of all events, the newest first. Nothing comes before a line that is not there, such as a deleted one. */
  abstract list(part: AuditPart): Promise<AuditEntry[]>;

  /**
   * Deletes at most `limit` events that happened up to this instant (epoch ms), the oldest first. Returns the number
   * deleted.
   */
  abstract deleteOlderThan(instant: number, limit: number): Promise<number>;
}
