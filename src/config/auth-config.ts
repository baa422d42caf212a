import { AuthError } from '../auth.errors.js';
import { days, type Duration } from '../common/duration.js';
import { parseNetwork, type Network } from '../common/ip-address.js';
import {
  CookieSettings,
  JwtSettings,
  PasswordSettings,
  SessionSettings,
  type AuthOptions,
  type RouteOptions,
} from './auth-options.js';
import { EphemeralTokenSettings, type EphemeralTokenRule } from './ephemeral-token-options.js';
import { RateLimitSettings, type RateLimitOptions, type RateLimitPolicy } from './rate-limit-options.js';

/** They decide which providers exist, so an asynchronous factory is too late for them. */
const EXTRAS = ['routes', 'globalGuard', 'users', 'imports', 'dataSource', 'isGlobal'];

export const MINIMUM_SECRET_LENGTH = 32;
const LONGEST_LIFETIME = days(400);
const COOKIE_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
/** Tokens and events are columns of 20 characters, and events are names in a structured header field (RFC 9651). */
const TYPE_NAME = /^[a-z0-9_]{1,20}$/;
const OPTIONS = [
  'secrets',
  'session',
  'cookie',
  'password',
  'jwt',
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
    readonly trustedOrigins: readonly string[],
    readonly loginPage: string | undefined,
    readonly routes: Readonly<RouteOptions> | undefined,
    readonly trustedProxies: readonly Network[],
    /** By type, those that the host adds included. */
    readonly ephemeralTokens: ReadonlyMap<string, Readonly<EphemeralTokenRule>>,
    readonly rateLimits: Readonly<RateLimitSettings>,
  ) {}

  /** Throws one `INVALID_CONFIG` that lists every mistake, each with its remedy. The options are left untouched. */
  static from(options: AuthOptions, routes?: RouteOptions): AuthConfig {
    const check = new Mistakes();
    check.keys('', options, OPTIONS);
    const secrets = check.secrets(options?.secrets);
    const session = check.settings('session', new SessionSettings(), options?.session);
    const cookie = check.settings('cookie', new CookieSettings(), options?.cookie);
    const password = check.settings('password', new PasswordSettings(), options?.password);
    const jwt = check.settings('jwt', new JwtSettings(), options?.jwt);
    const trustedOrigins = check.origins(options?.trustedOrigins);
    const loginPage = options?.loginPage;
    const trustedProxies = check.networks(options?.trustedProxies);
    const ephemeralTokens = check.tokenRules(options?.ephemeralTokens);
    const rateLimits = check.rateLimits(options?.rateLimits);

    check.duration('session.ttl', session.ttl);
    check.duration('session.absoluteLifetime', session.absoluteLifetime);
    check.that(
      session.extendBelow === 0 || (isPositive(session.extendBelow) && session.extendBelow < session.ttl),
      'session.extendBelow must be 0 (never extend) or shorter than session.ttl, for example days(7).',
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
      loginPage === undefined || isLocalPath(loginPage),
      "loginPage must be a path of this application such as '/login', not an address elsewhere.",
    );
    if (routes !== undefined) {
      check.keys('routes.', routes, ['path', 'clearSiteData']);
      check.that(
        typeof routes?.path === 'string' && routes.path.trim() !== '',
        "routes.path must be a path such as 'auth'; leave `routes` out to mount no routes.",
      );
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
        Object.freeze([...trustedOrigins]),
        loginPage,
        routes && Object.freeze({ ...routes }),
        Object.freeze(trustedProxies),
        ephemeralTokens,
        rateLimits,
      ),
    );
  }

  /** The cookie's name on the wire: with `__Host-` while it is secure, unless the host says otherwise (RFC 6265bis 4.1.3.2). */
  get cookieName(): string {
    return this.cookie.secure && this.cookie.hostPrefix ? `__Host-${this.cookie.name}` : this.cookie.name;
  }
}

const isPositive = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value) && value > 0;

/** Collects what is wrong, so that a host repairs its configuration in one go. */
class Mistakes {
  private readonly found: string[] = [];

  that(holds: boolean, remedy: string): void {
    if (!holds) this.found.push(remedy);
  }

  keys(prefix: string, value: unknown, known: readonly string[]): void {
    if (!isRecord(value)) {
      this.found.push(`${prefix === '' ? 'The options' : prefix.slice(0, -1)} must be an object.`);
      return;
    }
    for (const key of Object.keys(value)) {
      const beside = prefix === '' && EXTRAS.includes(key) ? ' here: write it beside useFactory' : '';
      this.that(known.includes(key), `${prefix}${key} is not an option${beside}; known are ${known.join(', ')}.`);
    }
  }

  /** The defaults with what the host wrote laid over them; an option set to `undefined` keeps its default. */
  settings<Settings extends object>(
    name: string,
    defaults: Settings,
    written: Partial<Settings> | undefined,
  ): Settings {
    if (written === undefined) return defaults;
    this.keys(`${name}.`, written, Object.keys(defaults));
    if (!isRecord(written)) return defaults;
    const values = Object.entries(written).filter(([, value]) => value !== undefined);
    return Object.assign(defaults, Object.fromEntries(values));
  }

  secrets(value: unknown): readonly string[] {
    const remedy = "Make one with: node -p \"require('crypto').randomBytes(48).toString('base64url')\"";
    if (!Array.isArray(value) || value.length === 0) {
      this.found.push(`secrets must be a list with at least one secret. ${remedy}`);
      return [];
    }
    Array.from<unknown>(value).forEach((secret, index) => {
      this.that(
        typeof secret === 'string' && secret.trim() !== '' && [...secret].length >= MINIMUM_SECRET_LENGTH,
        `secrets[${index}] must be a string of at least ${MINIMUM_SECRET_LENGTH} characters. ${remedy}`,
      );
    });
    this.that(new Set(value).size === value.length, 'secrets has the same secret twice: remove one of the two.');
    return value as string[];
  }

  origins(value: unknown = []): readonly string[] {
    if (!Array.isArray(value)) {
      this.found.push("trustedOrigins must be a list, for example ['https://app.example.com'].");
      return [];
    }
    Array.from<unknown>(value).forEach((origin, index) => {
      this.that(
        typeof origin === 'string' && isOrigin(origin),
        `trustedOrigins[${index}] must be an origin such as 'https://app.example.com': scheme and host, no path, no '*'.`,
      );
    });
    return value as string[];
  }

  networks(value: unknown = []): Network[] {
    if (!Array.isArray(value)) {
      this.found.push("trustedProxies must be a list, for example ['10.0.0.0/8'].");
      return [];
    }
    return value.map(parseNetwork).filter((network, index): network is Network => {
      const usable = typeof network !== 'string';
      if (!usable) this.found.push(`trustedProxies[${index}] ${network}.`);
      return usable;
    });
  }

  /** The rules of the types that are ours, `ttl` as the host wrote it, and those of the types that it adds. */
  tokenRules(written: Record<string, Partial<EphemeralTokenRule> | undefined> = {}): Map<string, EphemeralTokenRule> {
    const rules = new Map<string, EphemeralTokenRule>(Object.entries(Object.freeze(new EphemeralTokenSettings())));
    if (!this.record('ephemeralTokens', written)) return rules;
    for (const [type, rule] of Object.entries(written)) {
      if (rule === undefined) continue;
      const name = `ephemeralTokens.${type}`;
      const ours = rules.get(type);
      this.typeName(name, type);
      this.keys(`${name}.`, rule, ours ? ['ttl'] : ['ttl', 'onePerUser', 'binding']);
      if (!isRecord(rule)) continue;
      const merged: EphemeralTokenRule = { ...ours, ...rule, ttl: rule.ttl ?? ours?.ttl ?? Number.NaN };
      this.duration(`${name}.ttl`, merged.ttl);
      this.that(
        ['boolean', 'undefined'].includes(typeof merged.onePerUser),
        `${name}.onePerUser must be true or false.`,
      );
      this.that(
        merged.binding === undefined || (typeof merged.binding === 'string' && merged.binding !== ''),
        `${name}.binding must be the name of one of the token's fields.`,
      );
      rules.set(type, Object.freeze(merged));
    }
    return rules;
  }

  rateLimits(written: RateLimitOptions | undefined): Readonly<RateLimitSettings> {
    const defaults = new RateLimitSettings();
    const host: RateLimitOptions = isRecord(written) ? written : {};
    const { policies: hostPolicies, backoff: hostBackoff, ...rest } = host;
    if (written !== undefined) this.record('rateLimits', written);
    const settings = this.settings('rateLimits', defaults, rest);
    const policies = this.policies(defaults.policies, hostPolicies);
    const backoff = this.settings('rateLimits.backoff', defaults.backoff, hostBackoff);
    if (backoff.base !== 0) this.duration('rateLimits.backoff.base', backoff.base);
    this.duration('rateLimits.backoff.longest', backoff.longest);
    this.duration('rateLimits.backoff.window', backoff.window);
    this.that(
      !(backoff.longest > backoff.window),
      'rateLimits.backoff.window is shorter than backoff.longest: a failure would be forgotten before its wait is over.',
    );
    this.that(['deny', 'allow'].includes(settings.onStoreError), "rateLimits.onStoreError must be 'deny' or 'allow'.");
    this.integer('rateLimits.rememberedBlocks', settings.rememberedBlocks, 0, 1_000_000);
    return Object.freeze(Object.assign(settings, { policies, backoff: Object.freeze(backoff) }));
  }

  private policies(
    defaults: Readonly<Record<string, RateLimitPolicy>>,
    written: Record<string, Partial<RateLimitPolicy> | undefined> = {},
  ): Readonly<Record<string, RateLimitPolicy>> {
    const policies: Record<string, RateLimitPolicy> = Object.assign(Object.create(null), defaults);
    if (!this.record('rateLimits.policies', written)) return policies;
    for (const [event, policy] of Object.entries(written)) {
      if (policy === undefined) continue;
      const name = `rateLimits.policies.${event}`;
      const ours = policies[event];
      this.typeName(name, event);
      this.that(event !== 'login_backoff', `${name} is taken: the back-off keeps its failures under that name.`);
      this.keys(`${name}.`, policy, ['limit', 'window']);
      if (!isRecord(policy)) continue;
      const { limit = ours?.limit, window = ours?.window } = policy;
      this.integer(`${name}.limit`, limit ?? Number.NaN, 1, 100_000);
      this.duration(`${name}.window`, window ?? Number.NaN);
      policies[event] = Object.freeze({ limit: limit!, window: window! });
    }
    return Object.freeze(policies);
  }

  private record(name: string, value: unknown): boolean {
    this.that(isRecord(value), `${name} must be an object.`);
    return isRecord(value);
  }

  private typeName(name: string, value: string): void {
    this.that(TYPE_NAME.test(value), `${name}: the name must be 1 to 20 of a-z, 0-9 and _.`);
  }

  duration(name: string, value: Duration): void {
    this.that(
      isPositive(value) && value >= 1 && value <= LONGEST_LIFETIME,
      `${name} must be a length of time between 1 ms and 400 days in milliseconds: write it as days(30) or hours(8).`,
    );
  }

  integer(name: string, value: number, least: number, most: number): void {
    this.that(
      Number.isInteger(value) && value >= least && value <= most,
      `${name} must be a whole number from ${least} to ${most}.`,
    );
  }

  throwIfAny(): void {
    if (this.found.length === 0) return;
    const mistakes = Object.freeze([...this.found]);
    const list = mistakes.map((mistake) => `\n  - ${mistake}`).join('');
    throw new AuthError('INVALID_CONFIG', `AuthModule cannot start, its options need mending:${list}`, { mistakes });
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A path on this host, whatever a browser makes of it: no `//host`, no `/\\host`, no control characters (R28). */
export function isLocalPath(value: unknown): boolean {
  return typeof value === 'string' && /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(value);
}

function isOrigin(value: string): boolean {
  if (!URL.canParse(value) || value.includes('*')) return false;
  const url = new URL(value);
  return url.origin === value && (url.protocol === 'https:' || url.protocol === 'http:');
}
