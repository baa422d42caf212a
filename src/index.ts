export { AuthModule } from './auth.module.js';
export type { AuthEngine } from './auth.engine.js';
export type { AuthModuleExtras } from './auth.module-definition.js';
export { AuthError, isAuthError } from './auth.errors.js';
export type {
  AuthErrorCode,
  AuthErrorFacts,
  PasswordViolation,
  RequiredAssurance,
  TokenErrorReason,
} from './auth.errors.js';

export { Clock } from './common/clock.js';
export { days, hours, minutes, seconds } from './common/duration.js';
export type { Duration } from './common/duration.js';
export type { Instant } from './common/instant.js';

export type { AssuranceSettings } from './config/assurance-settings.js';
export type { AuditSettings } from './config/audit-settings.js';
export type { AuthOptions } from './config/auth-options.js';
export type { CacheSettings } from './config/cache-settings.js';
export type { CleanupSettings } from './config/cleanup-settings.js';
export type { CookieSettings } from './config/cookie-settings.js';
export type {
  EphemeralTokenFields,
  FirstFactor,
  PendingProofs,
  EphemeralTokenRule,
  EphemeralTokenType,
} from './config/ephemeral-token-settings.js';
export type {
  AccountDeletionSettings,
  EmailChangeSettings,
  FlowName,
  FlowOptions,
  NamedFlows,
  PasswordChangeSettings,
  PasswordResetSettings,
  MagicLinkSettings,
  RegistrationSettings,
  StepUpSettings,
} from './config/flow-settings.js';
export type { ApiKeyScopes, ApiKeySettings } from './config/api-key-settings.js';
export type { OidcRequest } from './config/ephemeral-token-settings.js';
export type { OidcSettings } from './config/oidc-settings.js';
export type { PasskeySettings } from './config/passkey-settings.js';
export type {
  BackupCodeSettings,
  EmailCodeSettings,
  RequiredUser,
  TotpSettings,
  TwoFactorSettings,
} from './config/two-factor-settings.js';
export type { FlowSettings } from './config/every-flow-settings.js';
export type { MailPages, MailSettings } from './config/mail-settings.js';
export type { JwtSettings } from './config/jwt-settings.js';
export type { LegacySessionSettings } from './config/legacy-session-settings.js';
export type { BreachCheckSettings, BreachFetch, PasswordSettings } from './config/password-settings.js';
export type {
  BackoffSettings,
  RateLimitEvent,
  RateLimitEvents,
  RateLimitOptions,
  RateLimitPolicy,
} from './config/rate-limit-settings.js';
export type { RouteOptions } from './config/route-options.js';
export type { SessionLifetimes, SessionOptions, SessionSettings } from './config/session-settings.js';
export type { TableSettings } from './config/table-settings.js';

export { authEntities, authMigrations, authSchemaFor } from './schema/auth-schema.js';
export type { AuthSchema, AuthSchemaOptions } from './schema/auth-schema.js';
export type { UserIdType } from './schema/user-id-type.js';
export { AuthTransaction } from './postgres/auth-transaction.js';

export { AuthEvents } from './events/auth-events.js';
export type { AuthEventListener } from './events/auth-events.js';
export type {
  AccountDeleted,
  AccountRegistered,
  AdminActed,
  ApiKeyCreated,
  ApiKeyRefusal,
  ApiKeyRefused,
  ApiKeyRevoked,
  AuthEvent,
  EmailChanged,
  PasskeyCloneSuspected,
  EmailReverted,
  EmailVerified,
  LoggedOut,
  LoginFailed,
  LoginSucceeded,
  PasswordChanged,
  PasswordDisabled,
  PasswordReset,
  MailFailed,
  MailFailureReason,
  MailSent,
  BreachCheckFailed,
  BreachCheckFault,
  RateLimitReached,
  RevocationReason,
  BrowserTrusted,
  BrowserUntrusted,
  FactorAdded,
  IdentityLinked,
  IdentityUnlinked,
  FactorDisabled,
  FactorRefused,
  FactorRemoved,
  FactorReverted,
  FactorUsed,
  RoleChanged,
  SessionImported,
  SessionCreated,
  SessionExtended,
  SessionReuseDetected,
  SessionRevoked,
  SessionRotated,
  StepUpRefused,
  StepUpSucceeded,
  EphemeralTokenConsumed,
  EphemeralTokenRefused,
} from './events/auth-event.js';

export { PasswordHasher } from './user/password-hasher.js';
export type { PasswordContext } from './user/password-policy.js';
export { UserDirectory } from './user/user.directory.js';
export type { AuthUser, EmailChange, NewAccount, UserListPart, VerifiedEmail } from './user/user.directory.js';
export { PostgresUserDirectory } from './engines/postgres/postgres-user.directory.js';

export { SessionService } from './session/session.service.js';
export type {
  Authentication,
  IssuedSession,
  ListedSession,
  RotationOptions,
  SessionContext,
  SessionLookup,
} from './session/session.service.js';
export type { SessionData, SessionDataPatch, StoredSessionData } from './session/session-data.js';
export type { AssuranceLevel, AuthenticatedSession, EndedSession, Session } from './session/session.js';

export { JwtCodecService } from './jwt/jwt-codec.service.js';
export type { EncodedToken, EncodeOptions } from './jwt/jwt-codec.service.js';
export type { TokenPayload, TokenPurpose, TokenPurposes } from './jwt/jwt-payload.js';
export { TokenRevocationService } from './revocation/token-revocation.service.js';
export type { SelfContainedToken } from './revocation/token-revocation.service.js';

export { EphemeralTokenService } from './ephemeral-token/ephemeral-token.service.js';

export { RateLimitService } from './rate-limit/rate-limit.service.js';
export type {
  FullRateLimit,
  FullRateLimits,
  RateLimitDecision,
  RateLimitTarget,
  RateLimitResult,
} from './rate-limit/rate-limit.service.js';

export { Mailer } from './mail/mailer.js';
export type {
  LinkedMailKind,
  Mail,
  Mailbox,
  MailContent,
  MailDraft,
  MailedCode,
  MailedFactor,
  MailedToken,
  MailFacts,
  MailKind,
  MailText,
  MailTexts,
} from './mail/mail.js';

export type { CompletedLogin, LoginAttempt, LoginContext, TokenTransport } from './login/login.service.js';

export type { CleanupCounts, CleanupReport, CleanupState } from './cleanup/cleanup.service.js';
export type { AuthHealth, AuthHealthOptions } from './health/auth-health.indicator.js';

export {
  Authenticated,
  CrossOrigin,
  CurrentSession,
  CurrentUser,
  currentSession,
  currentUser,
  OptionalAuth,
  Public,
  RedirectIfAuthenticated,
} from './http/auth.decorators.js';
export { RequireAal, RequireAmr, RequireFresh } from './http/assurance.decorators.js';
export type { HttpRequest, RequestAuth } from './http/auth-request.js';
export { HttpSessions } from './http/http-sessions.js';
export type { HttpLoginAttempt, Replacement, StartOptions, VerifiedLogin } from './http/http-sessions.js';
export type { DueSecondFactor, StartedSession } from './http/started-session.js';
export { OriginGuard } from './http/origin.guard.js';
export { RequireRole } from './http/require-role.decorator.js';
export { RateLimit } from './http/rate-limit.decorator.js';
export type { RateLimitBy } from './http/rate-limit.rule.js';
export { SessionConnections } from './http/session-connections.js';
export type { GraphqlWsConnection, SocketIoHandshake, VerifyClientDone } from './http/session-connections.js';
export type { HandshakeOptions } from './http/handshakes.js';
export type { OpenConnection, SocketIoConnection, WebSocketConnection } from './http/open-connection.js';
export { SessionGuard } from './http/session.guard.js';
