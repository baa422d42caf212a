import type { StoredSessionData } from '../session/session-data.js';
import type { AuthenticatedSession, EndedSession, Session, StoredSession } from '../session/session.js';
import {
  SessionStore,
  type DataUpdate,
  type Extension,
  type NewSession,
  type OpenedSession,
} from '../session/session.store.js';
import type { AuthMetrics } from './auth-metrics.js';

/** Counts the lookups of any store, and changes no answer. Used only while metrics are on. */
export class CountedSessionStore extends SessionStore {
  override readonly joinsTransactions: boolean;
  override readonly hasCache: boolean;

  constructor(
    private readonly store: SessionStore,
    private readonly metrics: AuthMetrics,
  ) {
    super();
    this.joinsTransactions = store.joinsTransactions;
    this.hasCache = store.hasCache;
  }

  override async find(id: string): Promise<StoredSession | null> {
    // A health check is not a lookup.
    if (id === '') return this.store.find(id);
    try {
      const recalled = this.findCached(id, () => true);
      if (recalled) return recalled;
      const found = await this.store.find(id);
      this.count(found ? 'miss' : 'none');
      return found;
    } catch (error) {
      this.count('error');
      throw error;
    }
  }

  override findCached(id: string, isUsable: (session: Session) => boolean): StoredSession | undefined {
    const recalled = this.store.findCached(id, isUsable);
    if (recalled) this.count('hit');
    return recalled;
  }

  override open(session: NewSession): Promise<OpenedSession | null> {
    return this.store.open(session);
  }

  override extend(extension: Extension): Promise<number | null> {
    return this.store.extend(extension);
  }

  override updateData(update: DataUpdate): Promise<StoredSessionData | null> {
    return this.store.updateData(update);
  }

  override delete(ids: readonly string[]): Promise<EndedSession[]> {
    return this.store.delete(ids);
  }

  override deleteReused(id: string): Promise<boolean> {
    return this.store.deleteReused(id);
  }

  override deleteByHandle(userId: string, handle: string): Promise<boolean> {
    return this.store.deleteByHandle(userId, handle);
  }

  override deleteByUser(userId: string, exceptId?: string): Promise<number> {
    return this.store.deleteByUser(userId, exceptId);
  }

  override ownersOf(ids: readonly string[]): Promise<readonly string[]> {
    return this.store.ownersOf(ids);
  }

  override listByUser(userId: string): Promise<AuthenticatedSession[]> {
    return this.store.listByUser(userId);
  }

  override deleteSuccessors(rotatedAt: number, limit: number): Promise<number> {
    return this.store.deleteSuccessors(rotatedAt, limit);
  }

  override deleteExpired(now: number, limit: number): Promise<number> {
    return this.store.deleteExpired(now, limit);
  }

  private count(result: 'hit' | 'miss' | 'none' | 'error'): void {
    this.metrics.count('latchkey.session.lookups', { result });
  }
}
