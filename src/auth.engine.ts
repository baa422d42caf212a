import type { FactoryProvider, InjectionToken, Provider, Type } from '@nestjs/common';
import type { EphemeralTokenStore } from './ephemeral-token/ephemeral-token.store.js';
import type { InvalidationChannel } from './invalidation/invalidation-channel.js';
import type { RateLimitStore } from './rate-limit/rate-limit.store.js';
import type { SessionStore } from './session/session.store.js';

/**
 * Where sessions, single-use tokens and rate-limit events are stored: PostgreSQL, unless the module is given another
 * `engine`. Users and the list of revoked JWTs stay in PostgreSQL; with a `UserDirectory` of your own, users are where
 * it keeps them.
 */
export interface AuthEngine {
  readonly sessions: Type<SessionStore>;
  readonly tokens: Type<EphemeralTokenStore>;
  readonly rateLimits: Type<RateLimitStore>;
  /** How processes learn of each other's changes; used with `cache.enabled` only. */
  readonly channel: Pick<FactoryProvider<InvalidationChannel>, 'useFactory'> & { readonly inject: InjectionToken[] };
  /** Further providers that the stores inject. */
  readonly providers: readonly Provider[];
}
