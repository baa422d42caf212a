export { AuthModule } from './auth.module.js';
export type { AuthEngine } from './auth-engine.js';
export type { AuthModuleExtras } from './auth.module-definition.js';
export { AuthError, isAuthError } from './auth.errors.js';
export type { AuthErrorCode, AuthErrorFacts } from './auth.errors.js';
export type { TokenFault } from './auth.errors.js';

export { AuditEventEntity } from './audit/audit-event.entity.js';
export { AuditLog } from './audit/audit-log.js';

export { CleanupService } from './cleanup/cleanup.service.js';
export type { CleanupCounts, CleanupReport, CleanupState } from './cleanup/cleanup.service.js';

export { Clock, SystemClock } from './common/clock.js';
export { days, hours, minutes, seconds } from './common/duration.js';
export type { Duration } from './common/duration.js';
export type { Instant } from './common/instant.js';
export { subjectOfAddress } from './common/ip-address.js';

export { AuthConfig } from './config/auth-config.js';
export type {
  AuthOptions,
  CookieSettings,
  PasswordSettings,
  RouteOptions,
  SessionSettings,
} from './config/auth-options.js';
export type { JwtSettings } from './config/auth-options.js';
export type { AuditSettings } from './config/audit-options.js';
export type { CleanupSettings } from './config/cleanup-options.js';
export type { CacheSettings } from './config/cache-options.js';
export type { EphemeralTokenFields, EphemeralTokenRule, EphemeralTokenType } from './config/ephemeral-token-options.js';
export type {
  BackoffSettings,
  RateLimitEvent,
  RateLimitEvents,
  RateLimitOptions,
  RateLimitPolicy,
} from './config/rate-limit-options.js';

export { authEntities } from './database/auth-entities.js';
export { authMigrations } from './database/auth-migrations.js';
export { authSchemaFor } from './database/auth-schema.js';
export { AuthTransaction } from './database/auth-transaction.js';

export { AuthEvents } from './events/auth-events.js';
export type { AuthEventListener } from './events/auth-events.js';
export type {
  AuthEvent,
  LoggedOut,
  LoginFailed,
  LoginSucceeded,
  RateLimitReached,
  RevocationReason,
  SessionCreated,
  SessionExtended,
  SessionReuseDetected,
  SessionRevoked,
  SessionRotated,
  TokenConsumed,
  TokenRefused,
} from './events/auth-event.js';

export { AuthHealthIndicator } from './health/auth-health.indicator.js';
export type { AuthHealth, AuthHealthOptions } from './health/auth-health.indicator.js';
export { CleanupProgress } from './health/cleanup-progress.js';
export type { CleanupProgressFacts } from './health/cleanup-progress.js';

export type { Invalidation } from './invalidation/invalidation.js';
export { InvalidationChannel, LocalInvalidationChannel } from './invalidation/invalidation-channel.js';
export { PostgresInvalidationChannel } from './invalidation/postgres-invalidation-channel.js';

export { normalizeLogin } from './user/login-name.js';
export { PasswordHasher } from './user/password-hasher.js';
export { TypeOrmUserDirectory } from './user/typeorm-user.directory.js';
export { UserDirectory } from './user/user.directory.js';
export type { AuthUser } from './user/user.directory.js';
export { UserEntity } from './user/user.entity.js';

export { MemorySessionCache } from './session/cache/memory-session-cache.js';
export type { MemorySessionCacheOptions } from './session/cache/memory-session-cache.js';
export { NoopSessionCache } from './session/cache/noop-session-cache.js';
export { SessionCache } from './session/cache/session-cache.js';
export { CachedSessionStore } from './session/cached-session.store.js';
export type { Identity } from './session/identity.js';
export { SessionEntity } from './session/session.entity.js';
export type { UserIdType } from './session/session.entity.js';
export type { AuthenticatedSession, EndedSession, Rotation, Session, StoredSession } from './session/session.js';
export { SessionService } from './session/session.service.js';
export type { IssuedSession, ListedSession, SessionContext, SessionLookup } from './session/session.service.js';
export { SessionStore } from './session/session.store.js';
export type { Extension, NewSession } from './session/session.store.js';
export { SignedCookieSession } from './session/signed-cookie-session.js';
export type { IdentityFacts } from './session/signed-cookie-session.js';
export { SignedTokens } from './session/signed-token.js';

export { JwtCodecService } from './jwt/jwt-codec.service.js';
export type { EncodedToken, EncodeOptions } from './jwt/jwt-codec.service.js';
export { RevokedTokenEntity } from './jwt/revoked-token.entity.js';
export { TokenError } from './jwt/token-error.js';
export { isPayloadBulkRevoked } from './jwt/token-payload.js';
export type { TokenPayload, TokenPurpose, TokenPurposes } from './jwt/token-payload.js';
export { TokenRevocationService } from './jwt/token-revocation.service.js';
export type { SelfContained } from './jwt/token-revocation.service.js';

export { KeyRing } from './crypto/key-ring.js';
export type { Keys } from './crypto/key-ring.js';
export { TimedSerializer } from './crypto/timed-serializer.js';
export type { Opened } from './crypto/timed-serializer.js';

export { EphemeralTokenEntity } from './ephemeral-token/ephemeral-token.entity.js';
export { EphemeralTokenService } from './ephemeral-token/ephemeral-token.service.js';
export { EphemeralTokenStore } from './ephemeral-token/ephemeral-token.store.js';
export type { EphemeralTokenKey } from './ephemeral-token/ephemeral-token.store.js';
export type { EphemeralTokenRow, PresentedBinding } from './ephemeral-token/ephemeral-token.types.js';

export { LoginBackoff } from './rate-limit/backoff.js';
export type { BackoffState } from './rate-limit/backoff.js';
export { RateLimitEventEntity } from './rate-limit/rate-limit-event.entity.js';
export type { Bucket, Usage } from './rate-limit/rate-limit.policy.js';
export { RateLimitService } from './rate-limit/rate-limit.service.js';
export type { RateLimitDecision, RateLimitTarget, RateLimitVerdict } from './rate-limit/rate-limit.service.js';
export { RateLimitStore } from './rate-limit/rate-limit.store.js';
export type { Consumption } from './rate-limit/rate-limit.store.js';

export { AuthErrorFilter } from './http/auth-error.filter.js';
export {
  Authenticated,
  CurrentSession,
  CurrentUser,
  OptionalAuth,
  Public,
  RedirectIfAuthenticated,
} from './http/auth.decorators.js';
export { ClientIp } from './http/client-ip.js';
export { CookieWriter } from './http/cookie-writer.js';
export { parseLoginBody } from './http/login-body.js';
export type { LoginBody } from './http/login-body.js';
export { LoginLimits } from './http/login-limits.js';
export { OriginGuard } from './http/origin.guard.js';
export { RateLimit } from './http/rate-limit.decorator.js';
export { RateLimitGuard } from './http/rate-limit.guard.js';
export type { RateLimitBy } from './http/rate-limit.rule.js';
export { SessionCookie } from './http/session-cookie.js';
export { SessionScheme } from './http/session-scheme.js';
export type { CookieValue, OpeningContext, RecognizedSession } from './http/session-scheme.js';
export { SessionGuard } from './http/session.guard.js';
