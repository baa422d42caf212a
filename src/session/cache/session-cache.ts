import type { AuthenticatedSession } from '../session.js';

/**
 * Sessions that this process has read lately, by `session.id`. It decides nothing: whether an entry is live, and whether
 * it may be answered at this moment, is for its caller. What goes in comes out as it is; nobody changes it in between.
 */
export abstract class SessionCache {
  /** The entry, or `undefined` when there is none, or none that is young enough. */
  abstract get(id: string): AuthenticatedSession | undefined;

  abstract set(id: string, found: AuthenticatedSession): void;

  abstract invalidate(id: string): void;

  abstract invalidateByUser(userId: string): void;

  abstract clear(): void;
}
