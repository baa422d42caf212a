import { SessionCache } from './session-cache.js';

/** Keeps nothing: `cache.maxSessions: 0`. */
export class NoopSessionCache extends SessionCache {
  override get(): undefined {}

  override set(): void {}

  override invalidate(): void {}

  override invalidateByUser(): void {}

  override clear(): void {}
}
