/**
 * For authors of an engine, and for using one of the module's parts on its own: the ports, the PostgreSQL stores, and
 * the building blocks between them. Most applications need none of this; the documentation names the exceptions.
 */
export type { AuthEngine } from './auth.engine.js';
export { SystemClock } from './common/clock.js';
export { subjectOfAddress } from './common/ip-address.js';
export { AuthConfig } from './config/auth-config.js';

export { ApiKeyStore } from './api-key/api-key.store.js';
export type { LiveKeysAt, NewApiKey } from './api-key/api-key.store.js';
export type { StoredApiKey } from './api-key/api-key.js';

export { AuditStore } from './audit/audit.store.js';
export type { AuditEntry, AuditPart, AuditedEvent } from './audit/audit.store.js';
export { AuditLog } from './audit/audit-log.js';

export { IdentityStore } from './oidc/identity.store.js';
export type { NewIdentity, StoredIdentity } from './oidc/identity.store.js';
export { PostgresIdentityStore } from './engines/postgres/postgres-identity.store.js';

export { KeyRing } from './crypto/key-ring.js';
export type { Keys } from './crypto/key-ring.js';
export { TimedSerializer } from './crypto/timed-serializer.js';
export type { DecodeResult } from './crypto/timed-serializer.js';

export { PreparedStatements } from './postgres/prepared-statements.js';
export type { Statement, StatementResult } from './postgres/statement.js';

export type { Invalidation } from './invalidation/invalidation.js';
export { InvalidationChannel, LocalInvalidationChannel } from './invalidation/invalidation-channel.js';
export { CompositeInvalidationChannel } from './invalidation/composite-invalidation-channel.js';
export type { InvalidationKind } from './invalidation/invalidation-digest.js';
export { RemoteInvalidationChannel } from './invalidation/remote-invalidation-channel.js';
export type { Subscription, SubscriptionEvents } from './invalidation/remote-invalidation-channel.js';

export { normalizeLogin } from './user/login-name.js';

export { MemorySessionCache } from './session/cache/memory-session-cache.js';
export type { MemorySessionCacheOptions } from './session/cache/memory-session-cache.js';
export { NoopSessionCache } from './session/cache/noop-session-cache.js';
export { SessionCache } from './session/cache/session-cache.js';
export { CachedSessionStore } from './session/cached-session.store.js';
export type { Identity } from './session/identity.js';
export type { SessionDataChange } from './session/session-data.js';
export type { Rotation, StoredSession } from './session/session.js';
export { SessionStore } from './session/session.store.js';
export type { DataUpdate, EvictedSession, Extension, NewSession, OpenedSession } from './session/session.store.js';
export { SessionTokens } from './session/session-tokens.js';
export { SignedCookieSession } from './session/signed-cookie.codec.js';
export type { IdentityFacts } from './session/signed-cookie.codec.js';
export { SignedTokens } from './session/signed-tokens.js';

export { TokenError } from './jwt/jwt-error.js';
export { isPayloadBulkRevoked } from './jwt/jwt-payload.js';
export { RevokedTokenStore } from './revocation/revoked-token.store.js';
export type { TokenState } from './revocation/revoked-token.store.js';

export { JwtSessionService } from './jwt-session/jwt-session.service.js';
export { JwtSessionStore } from './jwt-session/jwt-session.store.js';
export type { JwtSession, LiveAt, NewJwtSession } from './jwt-session/jwt-session.store.js';

export { EphemeralTokenStore } from './ephemeral-token/ephemeral-token.store.js';
export type { EphemeralTokenKey } from './ephemeral-token/ephemeral-token.store.js';
export type { EphemeralTokenRow, PresentedBinding } from './ephemeral-token/ephemeral-token.types.js';

export { LoginBackoff } from './rate-limit/backoff.js';
export type { BackoffState } from './rate-limit/backoff.js';
export type { Bucket, BucketUsage } from './rate-limit/rate-limit.policy.js';
export { MOST_LOOKED_AT, RateLimitStore } from './rate-limit/rate-limit.store.js';
export type { ConsumeResult, FullBucket, FullBuckets } from './rate-limit/rate-limit.store.js';

export { DefaultPasswordPolicy } from './user/default-password-policy.js';
export { NewPasswords } from './user/new-passwords.js';
export { PasswordPolicy } from './user/password-policy.js';
export { bcryptPasswords, pbkdf2Passwords, scryptPasswords, type BcryptLibrary } from './user/legacy-passwords.js';
export type { LegacyPasswords, LegacyVerdict } from './config/password-settings.js';

export { betterAuthSessions } from './engines/postgres/better-auth-sessions.js';
export type { BetterAuthSessionsOptions } from './engines/postgres/better-auth-sessions.js';
export { expressSessions } from './engines/postgres/express-sessions.js';
export type { ExpressSessionData, ExpressSessionsOptions } from './engines/postgres/express-sessions.js';
export { passportJwt } from './legacy-session/passport-jwt.js';
export type { PassportJwtOptions } from './legacy-session/passport-jwt.js';
export { LegacySessions } from './legacy-session/legacy-sessions.js';
export type { PresentedLegacySession } from './legacy-session/legacy-sessions.js';
export type {
  LegacyCookie,
  LegacySession,
  LegacySessionContext,
  LegacySessionSource,
} from './config/legacy-session-settings.js';
export { importedUserId } from './user/imported-user-id.js';

export { Outbox } from './mail/outbox.js';
export type { OutboxState, Posted } from './mail/outbox.js';

export { BearerSessions } from './login/bearer-sessions.js';
export { KnownDevices } from './login/known-devices.js';
export { PasswordAttemptStore } from './login/password-attempt.store.js';
export type { AttemptPlace, CountedAttempt, PasswordAttemptLimits } from './login/password-attempt.store.js';
export type { SessionOwner } from './login/other-sessions.js';
export { SessionScheme } from './login/session-scheme.js';
export type { CookieValue, ElevatedSession, OpeningContext, AuthenticationResult } from './login/session-scheme.js';

export { SchemaNames } from './schema/schema-names.js';

export { ApiKeyEntity } from './schema/entities/api-key.entity.js';
export { AuditEventEntity } from './schema/entities/audit-event.entity.js';
export { EphemeralTokenEntity } from './schema/entities/ephemeral-token.entity.js';
export { JwtSessionEntity } from './schema/entities/jwt-session.entity.js';
export { PasskeyEntity } from './schema/entities/passkey.entity.js';
export { PasswordAttemptEntity } from './schema/entities/password-attempt.entity.js';
export { RateLimitEventEntity } from './schema/entities/rate-limit-event.entity.js';
export { RevokedTokenEntity } from './schema/entities/revoked-token.entity.js';
export { SessionEntity } from './schema/entities/session.entity.js';
export { BackupCodeEntity } from './schema/entities/backup-code.entity.js';
export { TotpEntity } from './schema/entities/totp.entity.js';
export { UserEntity } from './schema/entities/user.entity.js';

export { PostgresBackupCodeStore } from './engines/postgres/postgres-backup-code.store.js';
export { PostgresTotpStore } from './engines/postgres/postgres-totp.store.js';
export { PostgresApiKeyStore } from './engines/postgres/postgres-api-key.store.js';
export { PostgresAuditStore } from './engines/postgres/postgres-audit.store.js';
export { postgresEngine } from './engines/postgres/postgres-engine.js';
export { PostgresEphemeralTokenStore } from './engines/postgres/postgres-ephemeral-token.store.js';
export { PostgresInvalidationChannel } from './engines/postgres/postgres-invalidation-channel.js';
export { PostgresJwtSessionStore } from './engines/postgres/postgres-jwt-session.store.js';
export { PostgresPasskeyStore } from './engines/postgres/postgres-passkey.store.js';
export { PostgresPasswordAttemptStore } from './engines/postgres/postgres-password-attempt.store.js';
export { PostgresRateLimitStore } from './engines/postgres/postgres-rate-limit.store.js';
export { PostgresRevokedTokenStore } from './engines/postgres/postgres-revoked-token.store.js';
export { PostgresSessionStore } from './engines/postgres/postgres-session.store.js';

export { AuthErrorFilter } from './http/auth-error.filter.js';
export { WithoutExtension } from './http/auth.decorators.js';
export { ClientIp } from './http/client-ip.js';
export { CookieWriter } from './http/cookie-writer.js';
export { DeviceCookie } from './http/device-cookie.js';
export { FlowCookie } from './http/flow-cookie.js';
export { parseLoginBody } from './http/login-body.js';
export type { LoginBody } from './http/login-body.js';
export { RateLimitGuard } from './http/rate-limit.guard.js';
export { SessionCookie } from './http/session-cookie.js';
export { CleanupService } from './cleanup/cleanup.service.js';
export { AuthHealthIndicator } from './health/auth-health.indicator.js';
export { NO_PASSWORD } from './user/user.directory.js';
export { PasskeyStore } from './passkey/passkey.store.js';
export type { NewPasskey, PasskeyUse, StoredPasskey } from './passkey/passkey.store.js';
export { BackupCodeStore, type StoredBackupCode } from './two-factor/backup-code.store.js';
export { TotpStore, type StoredTotp } from './two-factor/totp.store.js';
