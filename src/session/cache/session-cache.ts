import type { AuthenticatedSession } from '../session.js';

/**
 * Sessions that this process has read lately, by `session.id`. It decides nothing: its caller decides whether an entry
 * is live and may be used. Entries come out as they went in; nobody changes them in between.
 */
export abstract class SessionCache {
  /** The entry, or `undefined` if there is none that is young enough. */
  abstract get(id: string): AuthenticatedSession | undefined;

  abstract set(id: string, found: AuthenticatedSession): void;

  abstract invalidate(id: string): void;

  abstract invalidateByUser(userId: string): void;

  abstract clear(): void;
}
