import {
  Module,
  Optional,
  type DynamicModule,
  type FactoryProvider,
  type NestModule,
  type Provider,
} from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { FLOW_FACTORS } from './auth.flows.js';
import {
  ASYNC_OPTIONS_TYPE,
  AUTH_OPTIONS,
  ConfigurableModuleClass,
  OPTIONS_TYPE,
  type AuthModuleExtras,
} from './auth.module-definition.js';
import { FieldResolverCheck } from './http/field-resolver-check.js';
import { GlobalGuards, GlobalGuardsCheck } from './http/global-guards.js';
import { Hidden } from './common/hidden.js';
import { AuthError } from './auth.errors.js';
import { AuthConfig } from './config/auth-config.js';
import type { AuthOptions } from './config/auth-options.js';
import { flowNamesOf, routedFlowsOf } from './config/flow-settings.js';
import { SecondFactorController } from './http/flows/second-factor.controller.js';
import { FLOW_CONTROLLERS, flowControllersAt, mountedAt } from './http/flows/flow-controllers.js';
import { AuthErrorFilter } from './http/auth-error.filter.js';
import { AuthController, authControllerAt } from './http/auth.controller.js';
import { mountChangePasswordAddress } from './pages/change-password-address.js';
import { warnOfPrefix } from './pages/page-place.js';
import { PAGE_CONTROLLERS, pageControllersAt, pageProviders } from './pages/page-controllers.js';
import { mountPasskeyEndpoints } from './http/passkey-endpoints.js';
import { mountCookieParser } from './http/mount-cookie-parser.js';
import { mountBodyRules } from './http/body-parse-errors.js';
import { authProviders } from './auth.providers.js';

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

function assemble(definition: DynamicModule, extras: AuthModuleExtras): DynamicModule {
  const { routes, globalGuard, flows, secondFactors = [], imports = [], isGlobal = true } = extras;
  const services = authProviders(extras);
  const hasFactors = secondFactors.length > 0 || flowNamesOf(flows).some((flow) => FLOW_FACTORS[flow]);
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

/** The raw options hold the secrets, and whoever inspects the application can see its providers. */
function hidden(provider: Provider): Provider {
  if (typeof provider !== 'object' || provider.provide !== AUTH_OPTIONS) return provider;
  if ('useValue' in provider) return { ...provider, useValue: new Hidden(provider.useValue) };
  if (!('useFactory' in provider)) return provider;
  const { useFactory } = provider as FactoryProvider<AuthOptions>;
  return { ...provider, useFactory: async (...injected: unknown[]) => new Hidden(await useFactory(...injected)) };
}
