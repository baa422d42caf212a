import { CachedSessionStore } from '../session/cached-session.store.js';
import type { SessionStore } from '../session/session.store.js';
import type { AuthMetrics } from './auth-metrics.js';

/** Counts what this store is asked for, while metrics are on; else it is left as it is. It changes no answer. */
export function countingLookups<Store extends SessionStore>(store: Store, metrics: AuthMetrics): Store {
  if (!metrics.isOn) return store;
  const find = store.find.bind(store);
  const hits = () => (store instanceof CachedSessionStore ? store.hits : 0);
  store.find = async (id) => {
    // Whoever asks whether the store is there at all looks nobody up.
    if (id === '') return find(id);
    const before = hits();
    try {
      const finding = find(id);
      // A hit is counted before anything is waited for, so that it is this call's and nobody else's.
      const result = hits() > before ? 'hit' : 'miss';
      const found = await finding;
      metrics.count('latchkey.session.lookups', { result: found ? result : 'none' });
      return found;
    } catch (error) {
      metrics.count('latchkey.session.lookups', { result: 'error' });
      throw error;
    }
  };
  const recall = store.recall.bind(store);
  store.recall = (id, isUsable) => {
    const found = recall(id, isUsable);
    if (found) metrics.count('latchkey.session.lookups', { result: 'hit' });
    return found;
  };
  return store;
}
