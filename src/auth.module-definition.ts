import { ConfigurableModuleBuilder, type ModuleMetadata, type Type } from '@nestjs/common';
import type { AuthEngine } from './auth.engine.js';
import type { AuthOptions } from './config/auth-options.js';
import { EXTRA_DEFAULTS } from './config/extra-defaults.js';
import type { NamedFlows } from './config/flow-settings.js';
import type { RouteOptions } from './config/route-options.js';
import type { Mailer } from './mail/mailer.js';
import type { SecondFactor } from './login/second-factor.js';
import type { PasswordPolicy } from './user/password-policy.js';
import type { UserDirectory } from './user/user.directory.js';

/**
 * Options that decide which providers exist. With `forRootAsync` they are written beside `useFactory`, not returned by
 * it.
 */
export interface AuthModuleExtras {
  /** Mounts the routes of `AuthController`. Default: none. */
  routes?: RouteOptions;
  /**
   * Guards every handler of the application unless it is `@Public()`. Default true. Nest 11 applies no global guard to
   * WebSocket gateways: put `@UseGuards(OriginGuard, SessionGuard)` on them there.
   */
  globalGuard?: boolean;
  /** Your `UserDirectory`. Default: `PostgresUserDirectory` on the table `users`. */
  users?: Type<UserDirectory>;
  /** Sends your mail, such as `SmtpMailer` of the recipe. Needs `baseUrl`. Default: none, and nothing is mailed. */
  mailer?: Type<Mailer>;
  /** Your rules for new passwords. Default: `DefaultPasswordPolicy`. */
  passwordPolicy?: Type<PasswordPolicy>;
  /**
   * The flows that there are, by name, with their settings: `{ registration: {}, passwordReset: {} }`. What is not named
   * has no route. With `forRootAsync` the names are enough here, `['registration', 'passwordReset']`,
   * and the factory may return the settings. Default: none.
   */
  flows?: NamedFlows;
  /**
   * Second factors of your own, in the order in which users are asked for them. A user who is enrolled in one is asked
   * for it after every first factor, by `POST 2fa/verify`. Default: none.
   */
  secondFactors?: readonly Type<SecondFactor>[];
  /** Modules whose providers your directory, your mailer, your password policy and your factors inject. */
  imports?: ModuleMetadata['imports'];
  /** Name of the TypeORM DataSource, if it is not the default one. */
  dataSource?: string;
  /**
   * Where sessions, tokens and rate limits are stored, such as `redisEngine` of `nestjs-latchkey/redis`. Default:
   * PostgreSQL.
   */
  engine?: AuthEngine;
  /** Whether services can be injected without importing AuthModule again. Default true. */
  isGlobal?: boolean;
}

export const {
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN: AUTH_OPTIONS,
  OPTIONS_TYPE,
  ASYNC_OPTIONS_TYPE,
} = new ConfigurableModuleBuilder<AuthOptions>({ moduleName: 'Auth' })
  .setClassMethodName('forRoot')
  .setExtras<AuthModuleExtras>(EXTRA_DEFAULTS satisfies Record<keyof AuthModuleExtras, unknown>)
  .build();
