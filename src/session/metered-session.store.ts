import type { AuthMetrics } from '../metrics/auth-metrics.js';
import { CachedSessionStore } from './cached-session.store.js';
import type { AuthenticatedSession, Session, StoredSession } from './session.js';
import { SessionStore, type Extension, type NewSession } from './session.store.js';

/** The store as it is, or one that counts what it does while metrics are on. */
export function metered(store: SessionStore, metrics: AuthMetrics): SessionStore {
  return metrics.isOn ? new MeteredSessionStore(store, metrics) : store;
}

/** Any store, counted. It changes no answer, and counts a change once it is done. */
export class MeteredSessionStore extends SessionStore {
  constructor(
    private readonly store: SessionStore,
    private readonly metrics: AuthMetrics,
  ) {
    super();
  }

  override async find(id: string): Promise<StoredSession | null> {
    // Whoever asks whether the store is there at all looks nobody up.
    if (id === '') return this.store.find(id);
    const { hits } = this;
    try {
      const finding = this.store.find(id);
      // A hit is counted before anything is waited for, so that it is this call's and nobody else's.
      const result = this.hits > hits ? 'hit' : 'miss';
      const found = await finding;
      this.metrics.count('latchkey.session.lookups', { result: found ? result : 'none' });
      return found;
    } catch (error) {
      this.metrics.count('latchkey.session.lookups', { result: 'error' });
      throw error;
    }
  }

  override async open(session: NewSession): Promise<Session | null> {
    const opened = await this.store.open(session);
    const change = session.authenticatedAt === null ? 'rotated' : 'created';
    if (opened) this.metrics.count('latchkey.session.changes', { change });
    return opened;
  }

  override async extend(extension: Extension): Promise<number | null> {
    const expiresAt = await this.store.extend(extension);
    if (expiresAt !== null) this.metrics.count('latchkey.session.changes', { change: 'extended' });
    return expiresAt;
  }

  override async delete(ids: readonly string[]): Promise<number> {
    return this.revoked(await this.store.delete(ids));
  }

  override async deleteReused(id: string): Promise<boolean> {
    return this.revoked(Number(await this.store.deleteReused(id))) > 0;
  }

  override async deleteByHandle(userId: string, handle: string): Promise<boolean> {
    return this.revoked(Number(await this.store.deleteByHandle(userId, handle))) > 0;
  }

  override async deleteByUser(userId: string, exceptId?: string): Promise<number> {
    return this.revoked(await this.store.deleteByUser(userId, exceptId));
  }

  override listByUser(userId: string): Promise<AuthenticatedSession[]> {
    return this.store.listByUser(userId);
  }

  private get hits(): number {
    return this.store instanceof CachedSessionStore ? this.store.hits : 0;
  }

  private revoked(sessions: number): number {
    this.metrics.count('latchkey.session.changes', { change: 'revoked' }, sessions);
    return sessions;
  }
}
