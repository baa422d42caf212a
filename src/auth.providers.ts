import { type Provider, type Type } from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';
import { getDataSourceToken } from '@nestjs/typeorm';
import { FLOW_ACCESS, FLOW_FACTORS, FLOW_SERVICES, FLOW_WAYS_IN, missingPackages } from './auth.flows.js';
import { AUTH_OPTIONS, ConfigurableModuleClass, type AuthModuleExtras } from './auth.module-definition.js';
import { ApiKeyStore } from './api-key/api-key.store.js';
import { CachedApiKeyStore } from './api-key/cached-api-key.store.js';
import { PostgresApiKeyStore } from './engines/postgres/postgres-api-key.store.js';
import { PostgresAccountLock } from './engines/postgres/postgres-account-lock.js';
import { PostgresAuditStore } from './engines/postgres/postgres-audit.store.js';
import { postgresEngine } from './engines/postgres/postgres-engine.js';
import { PostgresJwtSessionStore } from './engines/postgres/postgres-jwt-session.store.js';
import { PostgresPasswordAttemptStore } from './engines/postgres/postgres-password-attempt.store.js';
import { PostgresRevokedTokenStore } from './engines/postgres/postgres-revoked-token.store.js';
import { keyHandlersOf } from './http/api-key.decorators.js';
import { HttpSecondFactors } from './http/http-second-factors.js';
import { HttpSessions } from './http/http-sessions.js';
import { RequestAuthenticator } from './http/request-authenticator.js';
import { AccountRecovery } from './login/account-recovery.js';
import { DatabaseSessionScheme } from './login/database-session.scheme.js';
import { GRANTED_ACCESS, MailboxProofs, type GrantedAccess } from './login/mailbox-proofs.js';
import { MailedLinks } from './login/mailed-links.js';
import { PendingLogins } from './login/pending-logins.js';
import { EnrolledFactors } from './login/enrolled-factors.js';
import { FactorChanges } from './login/factor-changes.js';
import { FactorProofs } from './login/factor-proofs.js';
import { OtherSessions } from './login/other-sessions.js';
import { SECOND_FACTORS, type SecondFactor } from './login/second-factor.js';
import { TrustedBrowsers } from './login/trusted-browsers.js';
import { WAYS_IN, WaysIn, type WayIn } from './login/ways-in.js';
import { StepUpMethods } from './login/step-up-methods.js';
import { SecondFactorLoginService } from './login/second-factor-login.service.js';
import { LegacyCredentials } from './http/legacy-credentials.js';
import { LegacySessions } from './legacy-session/legacy-sessions.js';
import { LoginService } from './login/login.service.js';
import { PasswordAttempts } from './login/password-attempts.js';
import { PasswordAttemptStore } from './login/password-attempt.store.js';
import { PasswordLogin } from './login/password-login.js';
import { PasswordChangeService } from './password/password-change.service.js';
import { PasswordWriter } from './login/password-writer.js';
import { AuditLog } from './audit/audit-log.js';
import { AuditStore } from './audit/audit.store.js';
import { CleanupService } from './cleanup/cleanup.service.js';
import { CleanupLock } from './cleanup/cleanup-lock.js';
import { Clock, SystemClock } from './common/clock.js';
import { Hidden } from './common/hidden.js';
import { AuthConfig } from './config/auth-config.js';
import type { AuthOptions } from './config/auth-options.js';
import { FLOW_NAMES, flowNamesOf } from './config/flow-settings.js';
import { KeyRing } from './crypto/key-ring.js';
import { AuthTransaction } from './postgres/auth-transaction.js';
import { adviseOn, hostDataSource } from './postgres/host-data-source.js';
import { PreparedStatements } from './postgres/prepared-statements.js';
import { AuthEvents } from './events/auth-events.js';
import { EventEmitterBridge } from './events/event-emitter.bridge.js';
import { EphemeralTokenService } from './ephemeral-token/ephemeral-token.service.js';
import { EphemeralTokenStore } from './ephemeral-token/ephemeral-token.store.js';
import { AuthErrorFilter } from './http/auth-error.filter.js';
import { AccessRevocation } from './login/access-revocation.js';
import { BearerSessions } from './login/bearer-sessions.js';
import { CookieWriter } from './http/cookie-writer.js';
import { ClientIp } from './http/client-ip.js';
import { KnownDevices } from './login/known-devices.js';
import { LoginLimits } from './login/login-limits.js';
import { Handshakes } from './http/handshakes.js';
import { SessionConnections } from './http/session-connections.js';
import { SessionLiveness } from './http/session-liveness.js';
import { WatchedConnections } from './http/watched-connections.js';
import { OriginGuard } from './http/origin.guard.js';
import { RateLimitGuard } from './http/rate-limit.guard.js';
import { DeviceCookie } from './http/device-cookie.js';
import { FlowCookie } from './http/flow-cookie.js';
import { SessionCookie } from './http/session-cookie.js';
import { TrustedBrowserCookie } from './http/trusted-browser-cookie.js';
import { SessionGuard } from './http/session.guard.js';
import { AuthHealthIndicator } from './health/auth-health.indicator.js';
import { SessionScheme } from './login/session-scheme.js';
import { SignedCookieScheme } from './login/signed-cookie.scheme.js';
import { InvalidationChannel, LocalInvalidationChannel } from './invalidation/invalidation-channel.js';
import { JwtCodecService } from './jwt/jwt-codec.service.js';
import { JwtSessionService } from './jwt-session/jwt-session.service.js';
import { JwtSessionStore } from './jwt-session/jwt-session.store.js';
import { RevokedTokenStore } from './revocation/revoked-token.store.js';
import { TokenStates } from './revocation/token-states.js';
import { TokenRevocationService } from './revocation/token-revocation.service.js';
import { Mailer } from './mail/mailer.js';
import { Outbox } from './mail/outbox.js';
import { OwnerNotices } from './mail/owner-notices.js';
import { AuthMetrics } from './metrics/auth-metrics.js';
import { CountedSessionStore } from './metrics/counted-session.store.js';
import { EventMetrics } from './metrics/event-metrics.js';
import { SessionGauges } from './metrics/session-gauges.js';
import { SchemaNames } from './schema/schema-names.js';
import { MemorySessionCache } from './session/cache/memory-session-cache.js';
import { NoopSessionCache } from './session/cache/noop-session-cache.js';
import { SessionCache } from './session/cache/session-cache.js';
import { CachedSessionStore } from './session/cached-session.store.js';
import { OpaqueTokens } from './session/opaque-tokens.js';
import { SessionTokens } from './session/session-tokens.js';
import { SignedCookieSession } from './session/signed-cookie.codec.js';
import { SignedTokens } from './session/signed-tokens.js';
import { LoginBackoff } from './rate-limit/backoff.js';
import { RateLimitService } from './rate-limit/rate-limit.service.js';
import { RateLimitStore } from './rate-limit/rate-limit.store.js';
import { SessionService } from './session/session.service.js';
import { SessionStore } from './session/session.store.js';
import { BreachedPasswords } from './user/breached-passwords.js';
import { DefaultPasswordPolicy } from './user/default-password-policy.js';
import { NewPasswords } from './user/new-passwords.js';
import { AccountLock } from './user/account-lock.js';
import { PasswordHasher } from './user/password-hasher.js';
import { PasswordPolicy } from './user/password-policy.js';
import { PostgresUserDirectory } from './engines/postgres/postgres-user.directory.js';
import { lacks, UserDirectory } from './user/user.directory.js';

const DATABASE_ADVICE = Symbol('nestjs-latchkey database advice');

/** What `AuthModule` provides. Each flow adds what it needs: `auth.flows`. */
export function authProviders({
  routes,
  users,
  mailer,
  passwordPolicy,
  flows,
  secondFactors = [],
  dataSource,
  engine = postgresEngine,
}: AuthModuleExtras): Provider[] {
  const directory: Provider[] = users
    ? [users, ...directoryTokensOf(users).map((token) => ({ provide: token, useExisting: users }))]
    : [PostgresUserDirectory, { provide: UserDirectory, useExisting: PostgresUserDirectory }];
  const mail: Provider[] =
    // Anything else is one of the mistakes that AuthConfig lists.
    typeof mailer === 'function'
      ? [mailer, { provide: Mailer, useExisting: mailer }, Outbox]
      : // A flow that needs it is a mistake, and told after all others: not by Nest, as a dependency that is missing.
        [{ provide: Outbox, useFactory: () => undefined, inject: [AuthConfig] }];
  // Anything else than a class is a mistake too.
  const policy = typeof passwordPolicy === 'function' ? passwordPolicy : DefaultPasswordPolicy;
  const named = flowNamesOf(flows);
  const flowFactors = named.flatMap((flow) => FLOW_FACTORS[flow] ?? []);
  const waysIn = named.flatMap((flow) => FLOW_WAYS_IN[flow] ?? []);
  return [
    { provide: Clock, useClass: SystemClock },
    {
      provide: AuthConfig,
      useFactory: async (options: Hidden<AuthOptions>, modules: ModulesContainer) =>
        AuthConfig.from(options.reveal(), {
          routes,
          mailer,
          flows,
          passwordPolicy,
          missing: await missingPackages(named),
          modules: [...modules.values()].filter(({ metatype }) => isAuthModule(metatype)).length,
          keyHandlers: named.includes('apiKeys') ? keyHandlersOf(handlersIn(modules)) : [],
          lacks: (operation) => lacks(users, operation),
        }),
      inject: [AUTH_OPTIONS, ModulesContainer],
    },
    {
      provide: DATABASE_ADVICE,
      useFactory: (modules: ModulesContainer) => adviseOn(getDataSourceToken(dataSource), modules),
      inject: [ModulesContainer],
    },
    {
      provide: PreparedStatements,
      useFactory: async (moduleRef: ModuleRef, metrics: AuthMetrics, { database }: AuthConfig) => {
        const source = await hostDataSource(moduleRef, getDataSourceToken(dataSource), dataSource);
        return new PreparedStatements(source, metrics, database);
      },
      inject: [ModuleRef, AuthMetrics, AuthConfig],
    },
    {
      provide: SchemaNames,
      useFactory: ({ tables }: AuthConfig, { schema }: PreparedStatements) => new SchemaNames(tables, schema),
      inject: [AuthConfig, PreparedStatements],
    },
    { provide: AuthMetrics, useFactory: () => AuthMetrics.load() },
    EventMetrics,
    SessionGauges,
    AuthHealthIndicator,
    AuthTransaction,
    AuthEvents,
    EventEmitterBridge,
    { provide: AuditStore, useClass: PostgresAuditStore },
    AuditLog,
    CleanupLock,
    CleanupService,
    {
      provide: InvalidationChannel,
      useFactory: ({ cache }: AuthConfig, ...injected: unknown[]) =>
        cache.enabled && cache.channel === 'postgres'
          ? engine.channel.useFactory(...injected)
          : new LocalInvalidationChannel(),
      inject: [AuthConfig, ...engine.channel.inject],
    },
    PasswordHasher,
    BreachedPasswords,
    policy,
    { provide: PasswordPolicy, useExisting: policy },
    NewPasswords,
    ...directory,
    { provide: AccountLock, useClass: PostgresAccountLock },
    ...mail,
    OwnerNotices,
    KeyRing,
    JwtCodecService,
    { provide: RevokedTokenStore, useClass: PostgresRevokedTokenStore },
    TokenStates,
    TokenRevocationService,
    ...engine.providers,
    engine.sessions,
    {
      provide: SessionCache,
      useFactory: ({ cache }: AuthConfig, clock: Clock, channel: InvalidationChannel) => {
        const kept = keptInMemory(cache, channel);
        return kept.max === 0 ? new NoopSessionCache() : new MemorySessionCache(kept, clock, channel);
      },
      inject: [AuthConfig, Clock, InvalidationChannel],
    },
    {
      provide: SessionStore,
      useFactory: (
        { cache }: AuthConfig,
        store: SessionStore,
        kept: SessionCache,
        channel: InvalidationChannel,
        statements: PreparedStatements,
        clock: Clock,
        metrics: AuthMetrics,
      ) => {
        const sessions = cache.enabled ? new CachedSessionStore(store, kept, channel, statements, clock) : store;
        return metrics.isOn ? new CountedSessionStore(sessions, metrics) : sessions;
      },
      inject: [AuthConfig, engine.sessions, SessionCache, InvalidationChannel, PreparedStatements, Clock, AuthMetrics],
    },
    {
      provide: SessionTokens,
      useFactory: ({ session }: AuthConfig, keyRing: KeyRing) =>
        session.tokenFormat === 'signed' ? new SignedTokens(keyRing) : new OpaqueTokens(),
      inject: [AuthConfig, KeyRing],
    },
    SessionService,
    SignedCookieSession,
    {
      provide: SessionScheme,
      useFactory: (
        { session }: AuthConfig,
        sessions: SessionService,
        cookies: SignedCookieSession,
        revocation: TokenRevocationService,
      ) =>
        session.scheme === 'signed-cookie'
          ? new SignedCookieScheme(cookies, revocation)
          : new DatabaseSessionScheme(sessions),
      inject: [AuthConfig, SessionService, SignedCookieSession, TokenRevocationService],
    },
    PostgresApiKeyStore,
    {
      provide: ApiKeyStore,
      useFactory: (
        { cache, flows }: AuthConfig,
        store: PostgresApiKeyStore,
        channel: InvalidationChannel,
        statements: PreparedStatements,
        clock: Clock,
      ) => {
        const kept = keptInMemory(cache, channel);
        if (!cache.enabled || kept.max === 0 || !flows.apiKeys) return store;
        return new CachedApiKeyStore(store, kept, channel, statements, clock);
      },
      inject: [AuthConfig, PostgresApiKeyStore, InvalidationChannel, PreparedStatements, Clock],
    },
    { provide: JwtSessionStore, useClass: PostgresJwtSessionStore },
    JwtSessionService,
    BearerSessions,
    { provide: EphemeralTokenStore, useClass: engine.tokens },
    EphemeralTokenService,
    { provide: RateLimitStore, useClass: engine.rateLimits },
    RateLimitService,
    LoginBackoff,
    LoginLimits,
    KnownDevices,
    ...flowFactors.map(({ factor }) => factor),
    ...secondFactors,
    {
      provide: SECOND_FACTORS,
      useFactory: ({ flows: settings }: AuthConfig, ...factors: SecondFactor[]) =>
        factors.filter((_, i) => flowFactors[i]?.isOn(settings) ?? true),
      inject: [AuthConfig, ...flowFactors.map(({ factor }) => factor), ...secondFactors],
    },
    EnrolledFactors,
    {
      provide: GRANTED_ACCESS,
      useFactory: (...granted: GrantedAccess[]) => granted,
      inject: named.flatMap((flow) => FLOW_ACCESS[flow] ?? []),
    },
    MailboxProofs,
    MailedLinks,
    FactorProofs,
    StepUpMethods,
    ...waysIn,
    { provide: WAYS_IN, useFactory: (...ways: WayIn[]) => ways, inject: waysIn },
    WaysIn,
    TrustedBrowsers,
    PendingLogins,
    LoginService,
    SecondFactorLoginService,
    AccessRevocation,
    OtherSessions,
    FactorChanges,
    AccountRecovery,
    LegacySessions,
    { provide: PasswordAttemptStore, useClass: PostgresPasswordAttemptStore },
    PasswordAttempts,
    PasswordLogin,
    PasswordWriter,
    PasswordChangeService,
    ...FLOW_NAMES.flatMap((flow) => (named.includes(flow) ? FLOW_SERVICES[flow] : [])),
    SessionCookie,
    DeviceCookie,
    FlowCookie,
    TrustedBrowserCookie,
    CookieWriter,
    AuthErrorFilter,
    LegacyCredentials,
    RequestAuthenticator,
    HttpSecondFactors,
    HttpSessions,
    SessionGuard,
    OriginGuard,
    ClientIp,
    SessionLiveness,
    WatchedConnections,
    Handshakes,
    SessionConnections,
    RateLimitGuard,
  ];
}

/** How many rows memory keeps, and for how long: where a message can be lost, no longer than `maxStaleness`. */
function keptInMemory(
  { maxSessions: max, ttl, maxStaleness }: AuthConfig['cache'],
  { mayLoseMessages }: InvalidationChannel,
) {
  return { max, ttl: mayLoseMessages ? Math.min(ttl, maxStaleness) : ttl };
}

/** It, or a class that extends it. */
function isAuthModule(module: unknown): boolean {
  return typeof module === 'function' && module.prototype instanceof ConfigurableModuleClass;
}

/** The classes that may have handlers: controllers, and resolvers, which are providers. */
function handlersIn(modules: ModulesContainer): unknown[] {
  return [...modules.values()].flatMap(({ controllers, providers }) =>
    [...controllers.values(), ...providers.values()].map(({ metatype }) => metatype),
  );
}

/** The tokens under which an application's own directory is provided, besides its class. */
function directoryTokensOf(users: Type<UserDirectory>) {
  return users.prototype instanceof PostgresUserDirectory ? [UserDirectory, PostgresUserDirectory] : [UserDirectory];
}
