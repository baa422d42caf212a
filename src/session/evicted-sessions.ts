import type { Session } from './session.js';
import type { EvictedSession, NewSession } from './session.store.js';

/** A row that was removed when a session was opened, live or not. */
export interface RemovedSession extends Pick<Session, 'id' | 'userId' | 'handle' | 'expiresAt'> {
  readonly isRotated: boolean;
}

/**
 * The removed rows that were live sessions, and why each ended: what a login replaced shares a handle, the rest
 * exceeded the cap.
 */
export function evictedBy({ now, replaces }: NewSession, removed: readonly RemovedSession[]): EvictedSession[] {
  const replaced = removed.find(({ id }) => id === replaces)?.handle;
  return removed
    .filter(({ isRotated, expiresAt }) => !isRotated && expiresAt > now)
    .map(({ userId, handle }) => ({
      session: { userId, handle },
      because: handle === replaced ? 'replaced_by_login' : 'cap',
    }));
}
