import { Hidden } from '../common/hidden.js';
import type { Network } from '../common/ip-address.js';
import { isLocalPath } from '../common/local-path.js';
import { checkAssurance, type AssuranceSettings } from './assurance-settings.js';
import { checkAudit, type AuditSettings } from './audit-settings.js';
import type { AuthOptions } from './auth-options.js';
import { checkCache, type CacheSettings } from './cache-settings.js';
import { checkCleanup, type CleanupSettings } from './cleanup-settings.js';
import { checkCookie, cookiePrefix, type CookieSettings } from './cookie-settings.js';
import { checkDatabase, type DatabaseSettings } from './database-settings.js';
import { checkEphemeralTokens, type EphemeralTokenRule } from './ephemeral-token-settings.js';
import type { KeyHandler } from './api-key-settings.js';
import { checkFlows, type CheckedFlows, routedFlowsOf } from './flow-settings.js';
import { mailPagesBelow } from './mail-pages.js';
import { checkJwt, type JwtSettings } from './jwt-settings.js';
import { checkLegacySessions, type LegacySessionSettings } from './legacy-session-settings.js';
import { checkMail, type MailSettings } from './mail-settings.js';
import { OptionChecker } from './option-checker.js';
import { checkPassword, type CheckedPasswordSettings } from './password-settings.js';
import { checkRateLimits, type RateLimitSettings } from './rate-limit-settings.js';
import { checkRoutes, type RouteOptions } from './route-options.js';
import { checkSecrets } from './secrets.js';
import { checkSession, type SessionSettings } from './session-settings.js';
import { checkTables, type TableSettings } from './table-settings.js';
import { checkBaseUrl, checkTrustedOrigins, isPlainHttp } from './trusted-origins.js';
import { checkTrustedProxies, trustsUnixSocket } from './trusted-proxies.js';

const OPTIONS: readonly (keyof AuthOptions)[] = [
  'secrets',
  'session',
  'cookie',
  'password',
  'jwt',
  'cache',
  'cleanup',
  'audit',
  'assurance',
  'database',
  'tables',
  'baseUrl',
  'trustedOrigins',
  'trustedProxies',
  'ephemeralTokens',
  'rateLimits',
  'loginPage',
  'mail',
  'flows',
  'legacySessions',
];

/** What stands beside the options, or beside the factory that returns them. */
export interface Extras {
  readonly routes?: RouteOptions | undefined;
  readonly mailer?: unknown;
  readonly flows?: unknown;
  readonly passwordPolicy?: unknown;
  /** The optional packages that the flows ask for and that are not installed. */
  readonly missing?: readonly string[];
  /** The handlers that take API keys. Default: none. */
  readonly keyHandlers?: readonly KeyHandler[];
  /** Whether the user directory lacks this operation. Default: it has all. */
  readonly lacks?: (operation: string) => boolean;
  /** How many `AuthModule`s the application has. Default: this one. */
  readonly modules?: number;
}

/**
 * The options of `AuthModule.forRoot` with the defaults filled in, validated once at boot and frozen. Everything inside
 * the module reads this.
 */
export class AuthConfig {
  declare readonly secrets: Hidden<readonly string[]>;
  declare readonly session: Readonly<SessionSettings>;
  declare readonly cookie: Readonly<CookieSettings>;
  declare readonly password: Readonly<CheckedPasswordSettings>;
  declare readonly jwt: Readonly<JwtSettings>;
  declare readonly cache: Readonly<Omit<CacheSettings, 'url'>>;
  /** `cache.url`, which may contain a password. */
  declare readonly listenerUrl: Hidden<string | null>;
  declare readonly cleanup: Readonly<CleanupSettings>;
  declare readonly audit: Readonly<AuditSettings>;
  declare readonly assurance: Readonly<AssuranceSettings>;
  declare readonly database: Readonly<DatabaseSettings>;
  declare readonly tables: Readonly<TableSettings>;
  declare readonly baseUrl: string | undefined;
  declare readonly trustedOrigins: readonly string[];
  declare readonly trustedProxies: readonly Network[];
  /** Whether `trustedProxies` names the peers on a Unix socket. */
  declare readonly trustsUnixSocket: boolean;
  /** By type, including those the application adds. */
  declare readonly ephemeralTokens: ReadonlyMap<string, Readonly<EphemeralTokenRule>>;
  declare readonly rateLimits: Readonly<RateLimitSettings>;
  declare readonly loginPage: string | undefined;
  /** `undefined` without a mailer. */
  declare readonly mail: Readonly<MailSettings> | undefined;
  declare readonly routes: Readonly<RouteOptions> | undefined;
  declare readonly flows: CheckedFlows;
  declare readonly legacySessions: Readonly<LegacySessionSettings> | undefined;

  private constructor(checked: Omit<AuthConfig, 'cookieName' | 'hasStatelessSessions'>) {
    Object.assign(this, checked);
    for (const part of Object.values(this)) Object.freeze(part);
    Object.freeze(this);
  }

  /** Throws one `INVALID_CONFIG` that lists every mistake, each with its remedy. The options are left untouched. */
  static from(
    options: AuthOptions,
    {
      routes,
      mailer,
      flows,
      passwordPolicy,
      missing = [],
      keyHandlers = [],
      lacks = () => false,
      modules = 1,
    }: Extras = {},
  ): AuthConfig {
    const check = new OptionChecker();
    check.keys('', options, OPTIONS);
    check.that(
      modules === 1,
      `AuthModule is imported ${modules} times with different options, and each would guard every request: call forRoot ` +
        'once, in your root module. It is global, so that other modules need no import of it.',
    );
    const { url: listenerUrl, ...cache } = checkCache(check, options?.cache);
    const routed = routedFlowsOf(flows);
    const ownPages = mailPagesBelow(routes?.path, routed);
    const checked = {
      secrets: new Hidden(Object.freeze([...checkSecrets(check, options?.secrets)])),
      baseUrl: checkBaseUrl(check, options?.baseUrl),
      trustedOrigins: checkTrustedOrigins(check, options?.trustedOrigins),
      trustedProxies: checkTrustedProxies(check, options?.trustedProxies),
      trustsUnixSocket: trustsUnixSocket(options?.trustedProxies),
      session: checkSession(check, options?.session),
      cookie: checkCookie(check, options?.cookie, options?.baseUrl),
      password: checkPassword(check, options?.password),
      jwt: checkJwt(check, options?.jwt),
      cache,
      listenerUrl: new Hidden(listenerUrl),
      cleanup: checkCleanup(check, options?.cleanup),
      audit: checkAudit(check, options?.audit),
      assurance: checkAssurance(check, options?.assurance),
      database: checkDatabase(check, options?.database),
      tables: checkTables(check, options?.tables),
      ephemeralTokens: checkEphemeralTokens(check, options?.ephemeralTokens),
      rateLimits: checkRateLimits(check, options?.rateLimits),
      loginPage: options?.loginPage,
      mail: checkMail(check, options?.mail, mailer, options?.baseUrl, ownPages),
      routes: checkRoutes(check, routes),
      flows: checkFlows(check, flows, options?.flows, {
        hasMailer: mailer !== undefined,
        pages: { ...ownPages, ...Object(options?.mail?.pages) },
        hasOwnPages: routed.includes('pages'),
        lacks,
        hasSignedCookies: options?.session?.scheme === 'signed-cookie',
        hasJwtSessions: options?.jwt?.sessions === true,
        baseUrl: options?.baseUrl,
        hasRoutes: routes !== undefined,
        missing,
        keyHandlers,
      }),
    };
    check.that(
      passwordPolicy === undefined || typeof passwordPolicy === 'function',
      'passwordPolicy must be a class that extends PasswordPolicy, not an instance: the module makes it, so that it can inject.',
    );
    check.that(
      checked.loginPage === undefined || isLocalPath(checked.loginPage),
      "loginPage must be a path of this application such as '/login', not an address elsewhere.",
    );
    check.that(
      !checked.cookie.secure || !isPlainHttp(checked.baseUrl),
      'baseUrl must begin with https:// while cookie.secure is on: over plain http browsers keep no Secure cookie, and a ' +
        'mailed link would send its token in the clear. Only localhost may be plain.',
    );
    const legacySessions = checkLegacySessions(check, options?.legacySessions, {
      cookieName: `${cookiePrefix(checked.cookie)}${checked.cookie.name}`,
      hasSignedCookies: checked.session.scheme === 'signed-cookie',
      hasJwtSessions: checked.jwt.sessions,
      lacks,
    });
    check.throwIfAny();
    return new AuthConfig({ ...checked, legacySessions });
  }

  /** The cookie's name on the wire, with its prefix: see `cookie.hostPrefix`. */
  get cookieName(): string {
    return `${cookiePrefix(this.cookie)}${this.cookie.name}`;
  }

  /** Whether there are sessions that no row stands for: signed cookies or JWTs, which only the user's cutoff ends. */
  get hasStatelessSessions(): boolean {
    return this.session.scheme === 'signed-cookie' || this.jwt.sessions;
  }
}
