import {
  Module,
  Optional,
  type DynamicModule,
  type FactoryProvider,
  type NestModule,
  type Provider,
  type Type,
} from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost, ModuleRef, ModulesContainer } from '@nestjs/core';
import { getDataSourceToken } from '@nestjs/typeorm';
import { FLOW_ACCESS, FLOW_FACTORS, FLOW_SERVICES, FLOW_WAYS_IN, missingPackages } from './auth.flows.js';
import {
  ASYNC_OPTIONS_TYPE,
  AUTH_OPTIONS,
  ConfigurableModuleClass,
  OPTIONS_TYPE,
  type AuthModuleExtras,
} from './auth.module-definition.js';
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
import { FieldResolverCheck } from './http/field-resolver-check.js';
import { GlobalGuards, GlobalGuardsCheck } from './http/global-guards.js';
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
import { SecondFactorLoginService } from './login/second-factor-login.js';
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
import { AuthError } from './auth.errors.js';
import { AuthConfig } from './config/auth-config.js';
import type { AuthOptions } from './config/auth-options.js';
import { FLOW_NAMES, flowNamesOf, routedFlowsOf } from './config/flow-settings.js';
import { KeyRing } from './crypto/key-ring.js';
import { AuthTransaction } from './postgres/auth-transaction.js';
import { adviseOn, hostDataSource } from './postgres/host-data-source.js';
import { PreparedStatements } from './postgres/prepared-statements.js';
import { AuthEvents } from './events/auth-events.js';
import { EventEmitterBridge } from './events/event-emitter.bridge.js';
import { EphemeralTokenService } from './ephemeral-token/ephemeral-token.service.js';
import { EphemeralTokenStore } from './ephemeral-token/ephemeral-token.store.js';
import { SecondFactorController } from './http/flows/second-factor.controller.js';
import { FLOW_CONTROLLERS, flowControllersAt, mountedAt } from './http/flows/flow-controllers.js';
import { AuthErrorFilter } from './http/auth-error.filter.js';
import { AuthController, authControllerAt } from './http/auth.controller.js';
import { AccessBesideSessions } from './login/access-beside-sessions.js';
import { BearerSessions } from './login/bearer-sessions.js';
import { CookieWriter } from './http/cookie-writer.js';
import { ClientIp } from './http/client-ip.js';
import { KnownDevices } from './login/known-devices.js';
import { LoginLimits } from './login/login-limits.js';
import { Handshakes } from './http/handshakes.js';
import { SessionConnections } from './http/session-connections.js';
import { SessionLiveness } from './http/session-liveness.js';
import { WatchedConnections } from './http/watched-connections.js';
import { mountChangePasswordAddress } from './pages/change-password-address.js';
import { warnOfPrefix } from './pages/page-place.js';
import { PAGE_CONTROLLERS, pageControllersAt, pageProviders } from './pages/page-controllers.js';
import { mountPasskeyEndpoints } from './http/passkey-endpoints.js';
import { OriginGuard } from './http/origin.guard.js';
import { mountCookieParser } from './http/mount-cookie-parser.js';
import { RateLimitGuard } from './http/rate-limit.guard.js';
import { DeviceCookie } from './http/device-cookie.js';
import { FlowCookie } from './http/flow-cookie.js';
import { SessionCookie } from './http/session-cookie.js';
import { TrustedBrowserCookie } from './http/trusted-browser-cookie.js';
import { SessionGuard } from './http/session.guard.js';
import { mountBodyRules } from './http/body-parse-errors.js';
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
import { SignedTokens } from './session/signed-session-token.js';
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

/**
 * Sessions behind one guard. `forRoot({ secrets })` is enough: it guards every handler, and everything it provides can
 * be injected anywhere. It needs a TypeORM DataSource of type `postgres` with `authEntities` and `authMigrations`.
 *
 * The boot fails if the options are invalid, with one error that lists every mistake, and if the schema is missing.
 *
 * @example
 * ```ts
 * @Module({
 *   imports: [
 *     TypeOrmModule.forRoot({
 *       type: 'postgres',
 *       url: process.env['DATABASE_URL'],
 *       entities: [...authEntities],
 *       migrations: [...authMigrations],
 *       migrationsRun: true,
 *     }),
 *     AuthModule.forRoot({ secrets: [process.env['AUTH_SECRET']!], routes: { path: 'auth' } }),
 *   ],
 * })
 * export class AppModule {}
 * ```
 */
@Module({})
export class AuthModule extends ConfigurableModuleClass implements NestModule {
  constructor(
    // Of `imports: [AuthModule]`, of which Nest would only say that something is missing in it.
    @Optional() private readonly config: AuthConfig,
    private readonly adapterHost: HttpAdapterHost,
    private readonly modules: ModulesContainer,
  ) {
    super();
    if ([...modules.values()].some(({ providers }) => providers.has(AuthConfig))) return;
    const mistake =
      'AuthModule is imported without its options: import AuthModule.forRoot({ secrets: [process.env.AUTH_SECRET] }) instead.';
    throw new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] });
  }

  /**
   * The module with these options; only `secrets` is required. Nothing is checked until the application starts: the
   * errors below are thrown by `NestFactory.create` or `app.init()`.
   *
   * @throws {AuthError} `INVALID_CONFIG` at boot: an option is invalid, the DataSource is not of type `postgres` or its
   *   pool has a single connection, its isolation level is not read committed, or a guard's dependency is
   *   request-scoped. `facts.mistakes` lists what is wrong, with the remedies.
   * @throws {AuthError} `SCHEMA_MISSING` at boot: the migrations have not been run, or are older than the code.
   * @throws {AuthError} `STORE_UNAVAILABLE` at boot: the database did not answer.
   *
   * @example
   * ```ts
   * AuthModule.forRoot({
   *   secrets: [process.env['AUTH_SECRET']!],
   *   routes: { path: 'auth' },
   *   session: { ttl: hours(8), extendBelow: hours(4), absoluteLifetime: hours(24) },
   * });
   * ```
   */
  static override forRoot(options: typeof OPTIONS_TYPE): DynamicModule {
    return assemble(super.forRoot(options ?? {}), options ?? {});
  }

  /**
   * As `forRoot`, with options that a factory or a provider returns. What decides which providers exist
   * (`AuthModuleExtras`: `routes`, `users`, `mailer`, `passwordPolicy`, `engine`, …) is written beside the factory and cannot come from it.
   *
   * @throws {AuthError} `INVALID_CONFIG` at boot, as with `forRoot`.
   * @throws {AuthError} `SCHEMA_MISSING` at boot, as with `forRoot`.
   * @throws {AuthError} `STORE_UNAVAILABLE` at boot, as with `forRoot`.
   * @throws whatever the factory throws.
   *
   * @example
   * ```ts
   * AuthModule.forRootAsync({
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ secrets: [config.getOrThrow<string>('AUTH_SECRET')] }),
   *   routes: { path: 'auth' },
   * });
   * ```
   */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return assemble(super.forRootAsync(options), { ...options, imports: [] });
  }

  configure(): void {
    const { httpAdapter } = this.adapterHost;
    if (this.config.routes) {
      mountBodyRules(httpAdapter, this.modules, [
        AuthController,
        SecondFactorController,
        ...FLOW_CONTROLLERS,
        ...PAGE_CONTROLLERS,
      ]);
    }
    mountCookieParser(httpAdapter);
    if (this.config.flows.pages?.routes) {
      warnOfPrefix(this.config, this.modules);
      mountChangePasswordAddress(httpAdapter, this.modules);
    }
    const { page, origins } = this.config.flows.passkeys ?? {};
    if (page !== undefined) mountPasskeyEndpoints(httpAdapter, new URL(page, this.config.baseUrl ?? origins![0]).href);
  }
}

const DATABASE_ADVICE = Symbol('nestjs-latchkey database advice');

function assemble(definition: DynamicModule, extras: AuthModuleExtras): DynamicModule {
  const {
    routes,
    globalGuard,
    users,
    mailer,
    passwordPolicy,
    flows,
    secondFactors = [],
    imports = [],
    dataSource,
    engine = postgresEngine,
    isGlobal = true,
  } = extras;
  const directory: Provider[] = users
    ? [users, ...directoryTokensOf(users).map((token) => ({ provide: token, useExisting: users }))]
    : [PostgresUserDirectory, { provide: UserDirectory, useExisting: PostgresUserDirectory }];
  const mail: Provider[] =
    // Anything else is one of the mistakes that AuthConfig lists.
    typeof mailer === 'function'
      ? [mailer, { provide: Mailer, useExisting: mailer }, Outbox]
      : // A flow that needs it is a mistake, and told after all others: not by Nest, as a dependency that is missing.
        [{ provide: Outbox, useFactory: () => undefined, inject: [AuthConfig] }];
  // As above.
  const policy = typeof passwordPolicy === 'function' ? passwordPolicy : DefaultPasswordPolicy;
  const named = flowNamesOf(flows);
  const flowFactors = named.flatMap((flow) => FLOW_FACTORS[flow] ?? []);
  const waysIn = named.flatMap((flow) => FLOW_WAYS_IN[flow] ?? []);
  const services: Provider[] = [
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
          modules: [...modules.values()].filter(({ metatype }) => metatype === AuthModule).length,
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
      useFactory: (
        { cache: { maxSessions: max, ...cache } }: AuthConfig,
        clock: Clock,
        channel: InvalidationChannel,
      ) => {
        const ttl = channel.mayLoseMessages ? Math.min(cache.ttl, cache.maxStaleness) : cache.ttl;
        return max === 0 ? new NoopSessionCache() : new MemorySessionCache({ max, ttl }, clock, channel);
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
        { cache: { enabled, maxSessions: max, ...cache }, flows }: AuthConfig,
        store: PostgresApiKeyStore,
        channel: InvalidationChannel,
        statements: PreparedStatements,
        clock: Clock,
      ) => {
        if (!enabled || max === 0 || !flows.apiKeys) return store;
        const ttl = channel.mayLoseMessages ? Math.min(cache.ttl, cache.maxStaleness) : cache.ttl;
        return new CachedApiKeyStore(store, { max, ttl }, channel, statements, clock);
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
    AccessBesideSessions,
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
  const hasFactors = secondFactors.length + flowFactors.length > 0;
  const pages = { flows: routes ? routedFlowsOf(flows) : [], login: routes?.login ?? true, secondFactors: hasFactors };
  return {
    ...definition,
    global: isGlobal,
    imports: [...(definition.imports ?? []), ...imports],
    controllers: routes
      ? [
          authControllerAt(routes),
          ...mountedAt(routes.path, hasFactors ? [SecondFactorController] : []),
          ...flowControllersAt(routes.path, routedFlowsOf(flows)),
          ...pageControllersAt(routes.path, pages),
        ]
      : [],
    providers: [
      ...(definition.providers ?? []).map(hidden),
      ...services,
      ...pageProviders(pages),
      { provide: APP_FILTER, useExisting: AuthErrorFilter },
      FieldResolverCheck,
      ...(globalGuard === false ? [] : [GlobalGuards, GlobalGuardsCheck]),
    ],
    exports: services,
  };
}

/** The classes that may have handlers: controllers, and resolvers, which are providers. */
function handlersIn(modules: ModulesContainer): unknown[] {
  return [...modules.values()].flatMap(({ controllers, providers }) =>
    [...controllers.values(), ...providers.values()].map(({ metatype }) => metatype),
  );
}

/** By which a directory of the application's own is injected, beside its own class. */
function directoryTokensOf(users: Type<UserDirectory>) {
  return users.prototype instanceof PostgresUserDirectory ? [UserDirectory, PostgresUserDirectory] : [UserDirectory];
}

/** The raw options hold the secrets, and whoever inspects the application can see its providers. */
function hidden(provider: Provider): Provider {
  if (typeof provider !== 'object' || provider.provide !== AUTH_OPTIONS) return provider;
  if ('useValue' in provider) return { ...provider, useValue: new Hidden(provider.useValue) };
  if (!('useFactory' in provider)) return provider;
  const { useFactory } = provider as FactoryProvider<AuthOptions>;
  return { ...provider, useFactory: async (...injected: unknown[]) => new Hidden(await useFactory(...injected)) };
}
