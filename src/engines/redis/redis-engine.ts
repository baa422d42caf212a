import type { AuthEngine } from '../../auth.engine.js';
import { AuthConfig } from '../../config/auth-config.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import { CompositeInvalidationChannel } from '../../invalidation/composite-invalidation-channel.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { PostgresInvalidationChannel } from '../postgres/postgres-invalidation-channel.js';
import { RedisConnection, type RedisSettings } from './redis-connection.js';
import { RedisEphemeralTokenStore } from './redis-ephemeral-token.store.js';
import { RedisInvalidationChannel } from './redis-invalidation-channel.js';
import { RedisRateLimitStore } from './redis-rate-limit.store.js';
import { RedisSessionStore } from './redis-session.store.js';
import type { RedisSource } from './redis-source.js';

/**
 * Sessions, single-use tokens and rate limits in Redis 7 or newer, on one server or a cluster. Users and the list of
 * revoked JWTs stay in PostgreSQL or in your `UserDirectory`; with `cache.enabled` a process listens to both.
 *
 * It also takes a node-redis client that you have created, listen to and close. Set `disableOfflineQueue` on it, or
 * requests wait `timeout` while Redis is unavailable.
 *
 * @example
 * ```ts
 * AuthModule.forRoot({ secrets, engine: redisEngine({ url: 'redis://localhost:6379' }) });
 *
 * const rootNodes = [{ url: 'redis://10.0.0.1:6379' }, { url: 'redis://10.0.0.2:6379' }];
 * AuthModule.forRoot({ secrets, engine: redisEngine({ rootNodes }) });
 * ```
 */
export function redisEngine(source: RedisSource, settings: RedisSettings = {}): AuthEngine {
  return {
    sessions: RedisSessionStore,
    tokens: RedisEphemeralTokenStore,
    rateLimits: RedisRateLimitStore,
    channel: {
      useFactory: (config: AuthConfig, statements: PreparedStatements, names: SchemaNames, redis: RedisConnection) =>
        new CompositeInvalidationChannel(
          new PostgresInvalidationChannel(statements, config, names),
          new RedisInvalidationChannel(redis, config.cache.maxStaleness),
        ),
      inject: [AuthConfig, PreparedStatements, SchemaNames, RedisConnection],
    },
    providers: [{ provide: RedisConnection, useFactory: () => new RedisConnection(source, settings) }],
  };
}
