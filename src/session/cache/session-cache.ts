import type { AuthenticatedSession } from '../session.js';

/**
 * Sessions that this process has read recently, by `session.id`. It decides nothing: its caller decides whether an
 * entry is live and usable. Entries are returned as they were stored. Entries to forget are named by their digest, as
 * in messages (`InvalidationChannel.digest`).
 */
export abstract class SessionCache {
  /** The entry, or `undefined` if there is none, or it is too old. */
  abstract get(id: string): AuthenticatedSession | undefined;

  abstract set(id: string, found: AuthenticatedSession): void;

  abstract invalidate(digest: string): void;

  abstract invalidateByUser(digest: string): void;

  abstract clear(): void;
}
