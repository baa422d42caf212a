export { redisEngine } from './redis-engine.js';
export { RedisConnection, type RedisSettings } from './redis-connection.js';
export { RedisEphemeralTokenStore } from './redis-ephemeral-token.store.js';
export { RedisInvalidationChannel } from './redis-invalidation-channel.js';
export { RedisRateLimitStore } from './redis-rate-limit.store.js';
export { RedisSessionStore } from './redis-session.store.js';
export type { RedisSource } from './redis-source.js';
