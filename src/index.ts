export { AuthModule } from './auth.module.js';
export type { AuthEngine } from './auth.engine.js';
export type { AuthModuleExtras } from './auth.module-definition.js';
export { AuthError, isAuthError } from './auth.errors.js';
export type { AuthErrorCode, AuthErrorFacts } from './auth.errors.js';
export type { TokenFault } from './auth.errors.js';

export { AuditEventEntity } from './schema/entities/audit-event.entity.js';
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

export { authEntities } from './schema/auth-entities.js';
export { authMigrations } from './schema/auth-migrations.js';
export { authSchemaFor } from './schema/auth-schema.js';
export { AuthTransaction } from './postgres/auth-transaction.js';

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
export { PostgresInvalidationChannel } from './engines/postgres/postgres-invalidation-channel.js';

export { normalizeLogin } from './user/login-name.js';
export { PasswordHasher } from './user/password-hasher.js';
export { PostgresUserDirectory } from './engines/postgres/postgres-user.directory.js';
export { UserDirectory } from './user/user.directory.js';
export type { AuthUser } from './user/user.directory.js';
export { UserEntity } from './schema/entities/user.entity.js';

export { MemorySessionCache } from './session/cache/memory-session-cache.js';
export type { MemorySessionCacheOptions } from './session/cache/memory-session-cache.js';
export { NoopSessionCache } from './session/cache/noop-session-cache.js';
export { SessionCache } from './session/cache/session-cache.js';
export { CachedSessionStore } from './session/cached-session.store.js';
export type { Identity } from './session/identity.js';
export { SessionEntity } from './schema/entities/session.entity.js';
export type { UserIdType } from './schema/entities/session.entity.js';
export type { AuthenticatedSession, EndedSession, Rotation, Session, StoredSession } from './session/session.js';
export { SessionService } from './session/session.service.js';
export type { IssuedSession, ListedSession, SessionContext, SessionLookup } from './session/session.service.js';
export { SessionStore } from './session/session.store.js';
export type { Extension, NewSession } from './session/session.store.js';
export { SignedCookieSession } from './session/signed-cookie.codec.js';
export type { IdentityFacts } from './session/signed-cookie.codec.js';
export { SignedTokens } from './session/signed-session-token.js';

export { JwtCodecService } from './jwt/jwt-codec.service.js';
export type { EncodedToken, EncodeOptions } from './jwt/jwt-codec.service.js';
export { RevokedTokenEntity } from './schema/entities/revoked-token.entity.js';
export { TokenError } from './jwt/jwt-error.js';
export { isPayloadBulkRevoked } from './jwt/jwt-payload.js';
export type { TokenPayload, TokenPurpose, TokenPurposes } from './jwt/jwt-payload.js';
export { TokenRevocationService } from './revocation/token-revocation.service.js';
export type { SelfContained } from './revocation/token-revocation.service.js';

export { KeyRing } from './crypto/key-ring.js';
export type { Keys } from './crypto/key-ring.js';
export { TimedSerializer } from './crypto/timed-serializer.js';
export type { Opened } from './crypto/timed-serializer.js';

export { EphemeralTokenEntity } from './schema/entities/ephemeral-token.entity.js';
export { EphemeralTokenService } from './ephemeral-token/ephemeral-token.service.js';
export { EphemeralTokenStore } from './ephemeral-token/ephemeral-token.store.js';
export type { EphemeralTokenKey } from './ephemeral-token/ephemeral-token.store.js';
export type { EphemeralTokenRow, PresentedBinding } from './ephemeral-token/ephemeral-token.types.js';

export { LoginBackoff } from './rate-limit/backoff.js';
export type { BackoffState } from './rate-limit/backoff.js';
export { RateLimitEventEntity } from './schema/entities/rate-limit-event.entity.js';
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
export { LoginLimits } from './login/login-limits.js';
export { OriginGuard } from './http/origin.guard.js';
export { RateLimit } from './http/rate-limit.decorator.js';
export { RateLimitGuard } from './http/rate-limit.guard.js';
export type { RateLimitBy } from './http/rate-limit.rule.js';
export { SessionCookie } from './http/session-cookie.js';
export { SessionScheme } from './login/session-scheme.js';
export type { CookieValue, OpeningContext, RecognizedSession } from './login/session-scheme.js';
export { SessionGuard } from './http/session.guard.js';
