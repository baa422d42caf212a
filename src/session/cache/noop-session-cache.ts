import type { AuthenticatedSession } from '../session.js';
import { SessionCache } from './session-cache.js';

/** Keeps nothing; for `cache.maxSessions: 0`. */
export class NoopSessionCache extends SessionCache {
  override get(_id: string): undefined {}

  override set(_id: string, _found: AuthenticatedSession): void {}

  override invalidate(_digest: string): void {}

  override invalidateByUser(_digest: string): void {}

  override clear(): void {}
}
