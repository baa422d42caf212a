import { minutes } from '../common/duration.js';
import type { Network } from '../common/ip-address.js';
import { isLocalPath } from '../common/local-path.js';
import {
  CookieSettings,
  JwtSettings,
  PasswordSettings,
  SessionSettings,
  type AuthOptions,
  type RouteOptions,
} from './auth-options.js';
import type { AuditSettings } from './audit-options.js';
import type { CacheSettings } from './cache-options.js';
import type { CleanupSettings } from './cleanup-options.js';
import type { EphemeralTokenRule } from './ephemeral-token-options.js';
import { isPositive, OptionChecker } from './option-checker.js';
import {
  checkedAudit,
  checkedCache,
  checkedCleanup,
  checkedNetworks,
  checkedOrigins,
  checkedRateLimits,
  checkedSecrets,
  checkedTokenRules,
  isOrigin,
  UNIX_SOCKET,
} from './option-checks.js';
import type { RateLimitSettings } from './rate-limit-options.js';

/** As a Domain attribute has it: labels in lower case, no leading dot, no port. */
const DOMAIN = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const COOKIE_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const OPTIONS = [
  'secrets',
  'session',
  'cookie',
  'password',
  'jwt',
  'cache',
  'cleanup',
  'audit',
  'baseUrl',
  'trustedOrigins',
  'trustedProxies',
  'ephemeralTokens',
  'rateLimits',
  'loginPage',
];

/**
 * The host's options, defaults filled in, validated once at boot and frozen. Everything inside the module reads this.
 */
export class AuthConfig {
  private constructor(
    readonly secrets: readonly string[],
    readonly session: Readonly<SessionSettings>,
    readonly cookie: Readonly<CookieSettings>,
    readonly password: Readonly<PasswordSettings>,
    readonly jwt: Readonly<JwtSettings>,
    readonly cache: Readonly<CacheSettings>,
    readonly trustedOrigins: readonly string[],
    readonly loginPage: string | undefined,
    readonly routes: Readonly<RouteOptions> | undefined,
    readonly trustedProxies: readonly Network[],
    /** By type, those that the host adds included. */
    readonly ephemeralTokens: ReadonlyMap<string, Readonly<EphemeralTokenRule>>,
    readonly rateLimits: Readonly<RateLimitSettings>,
    readonly cleanup: Readonly<CleanupSettings>,
    readonly audit: Readonly<AuditSettings>,
    readonly baseUrl: string | undefined,
    /** Whether `trustedProxies` names the peers on a Unix socket. */
    readonly trustsUnixSocket: boolean,
  ) {}

  /** Throws one `INVALID_CONFIG` that lists every mistake, each with its remedy. The options are left untouched. */
  static from(options: AuthOptions, routes?: RouteOptions): AuthConfig {
    const check = new OptionChecker();
    check.keys('', options, OPTIONS);
    const secrets = checkedSecrets(check, options?.secrets);
    const session = check.settings('session', new SessionSettings(), options?.session);
    const cookie = check.settings('cookie', new CookieSettings(), options?.cookie);
    const password = check.settings('password', new PasswordSettings(), options?.password);
    const jwt = check.settings('jwt', new JwtSettings(), options?.jwt);
    const cache = checkedCache(check, options?.cache);
    const cleanup = checkedCleanup(check, options?.cleanup);
    const audit = checkedAudit(check, options?.audit);
    const trustedOrigins = checkedOrigins(check, options?.trustedOrigins);
    const loginPage = options?.loginPage;
    const trustedProxies = checkedNetworks(check, options?.trustedProxies);
    const ephemeralTokens = checkedTokenRules(check, options?.ephemeralTokens);
    const rateLimits = checkedRateLimits(check, options?.rateLimits);

    check.duration('session.ttl', session.ttl);
    check.duration('session.absoluteLifetime', session.absoluteLifetime);
    check.that(
      session.extendBelow === 0 || (isPositive(session.extendBelow) && session.extendBelow < session.ttl),
      'session.extendBelow must be 0 (never extend) or shorter than session.ttl, for example days(7).',
    );
    check.that(
      session.rotationGrace === 0 ||
        (isPositive(session.rotationGrace) &&
          !(session.scheme === 'database' && session.rotationGrace >= session.ttl) &&
          session.rotationGrace <= minutes(5)),
      'session.rotationGrace must be 0 (none) or shorter than session.ttl, at most minutes(5), for example seconds(30).',
    );
    check.that(
      !(session.ttl > session.absoluteLifetime),
      'session.ttl is longer than session.absoluteLifetime: shorten the one or lengthen the other.',
    );
    check.integer('session.maxPerUser', session.maxPerUser, 1, 10_000);

    check.that(
      ['database', 'signed-cookie'].includes(session.scheme),
      "session.scheme must be 'database' or 'signed-cookie'.",
    );
    check.that(['opaque', 'signed'].includes(session.tokenFormat), "session.tokenFormat must be 'opaque' or 'signed'.");

    check.that(
      typeof cookie.name === 'string' && COOKIE_NAME.test(cookie.name) && !/^__(host|secure)-/i.test(cookie.name),
      "cookie.name must be a cookie name (RFC 6265 token) without the '__Host-' prefix: the module adds that itself.",
    );
    check.that(typeof cookie.hostPrefix === 'boolean', 'cookie.hostPrefix must be true or false.');
    check.that(typeof cookie.secure === 'boolean', 'cookie.secure must be true or false.');
    check.that(
      ['lax', 'strict', 'none'].includes(cookie.sameSite),
      "cookie.sameSite must be 'lax', 'strict' or 'none'.",
    );
    check.that(
      cookie.sameSite !== 'none' || cookie.secure,
      "cookie.sameSite 'none' needs cookie.secure: browsers drop the cookie otherwise. Serve over https, or use 'lax'.",
    );

    const { clearDomains } = cookie;
    const areDomains =
      Array.isArray(clearDomains) && clearDomains.every((one) => typeof one === 'string' && DOMAIN.test(one));
    check.that(areDomains, "cookie.clearDomains must be a list of domains such as ['example.com'].");
    check.that(
      !areDomains || clearDomains.length === 0 || !(cookie.secure && cookie.hostPrefix),
      'cookie.clearDomains needs cookie.hostPrefix: false: no cookie with a domain is called __Host-….',
    );

    const lanes = Number.isInteger(password.parallelism) ? Math.max(1, password.parallelism) : 1;
    check.integer('password.memoryCost', password.memoryCost, 8 * lanes, 4_194_304);
    check.integer('password.timeCost', password.timeCost, 1, 1_000);
    check.integer('password.parallelism', password.parallelism, 1, 255);
    check.integer('password.concurrency', password.concurrency, 1, 1_024);
    check.integer('password.queue', password.queue, 0, 1_000_000);

    check.that(
      ['HS256', 'HS384', 'HS512'].includes(jwt.algorithm),
      "jwt.algorithm must be 'HS256', 'HS384' or 'HS512'.",
    );
    check.duration('jwt.ttl', jwt.ttl);
    check.that(
      jwt.audience === null || (typeof jwt.audience === 'string' && jwt.audience !== ''),
      "jwt.audience must be a text such as 'my-app', or null for none.",
    );
    check.that(typeof jwt.sessions === 'boolean', 'jwt.sessions must be true or false.');

    check.that(
      options?.baseUrl === undefined || isOrigin(options.baseUrl),
      "baseUrl must be an origin such as 'https://app.example.com': scheme and host, no path.",
    );
    check.that(
      loginPage === undefined || isLocalPath(loginPage),
      "loginPage must be a path of this application such as '/login', not an address elsewhere.",
    );
    if (routes !== undefined) {
      check.keys('routes.', routes, ['path', 'login', 'clearSiteData']);
      check.that(
        typeof routes?.path === 'string' && routes.path.trim() !== '',
        "routes.path must be a path such as 'auth'; leave `routes` out to mount no routes.",
      );
      check.that([undefined, true, false].includes(routes?.login), 'routes.login must be true or false.');
      check.that(
        [undefined, true, false].includes(routes?.clearSiteData),
        'routes.clearSiteData must be true or false.',
      );
    }

    check.throwIfAny();
    return Object.freeze(
      new AuthConfig(
        Object.freeze([...secrets]),
        Object.freeze(session),
        Object.freeze(cookie),
        Object.freeze(password),
        Object.freeze(jwt),
        Object.freeze(cache),
        Object.freeze([...trustedOrigins]),
        loginPage,
        routes && Object.freeze({ ...routes }),
        Object.freeze(trustedProxies),
        ephemeralTokens,
        rateLimits,
        Object.freeze(cleanup),
        Object.freeze(audit),
        options.baseUrl,
        options.trustedProxies?.includes(UNIX_SOCKET) ?? false,
      ),
    );
  }

  /** The cookie's name on the wire: with `__Host-` while it is secure, unless the host says otherwise (RFC 6265bis 4.1.3.2). */
  get cookieName(): string {
    return this.cookie.secure && this.cookie.hostPrefix ? `__Host-${this.cookie.name}` : this.cookie.name;
  }
}
