import type { AuthenticatedSession } from '../session.js';

/**
 * Sessions that this process has read lately, by `session.id`. It decides nothing: its caller decides whether an entry
 * is live and may be used. Entries come out as they went in; nobody changes them in between. What is to be forgotten is
 * named as messages name it, by `InvalidationChannel.digest`.
 */
export abstract class SessionCache {
  /** The entry, or `undefined` if there is none that is young enough. */
  abstract get(id: string): AuthenticatedSession | undefined;

  abstract set(id: string, found: AuthenticatedSession): void;

  abstract invalidate(digest: string): void;

  abstract invalidateByUser(digest: string): void;

  abstract clear(): void;
}
