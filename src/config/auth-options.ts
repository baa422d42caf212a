import { availableParallelism } from 'node:os';
import { days, hours, seconds, type Duration } from '../common/duration.js';
import type { AuditSettings } from './audit-options.js';
import type { CacheSettings } from './cache-options.js';
import type { CleanupSettings } from './cleanup-options.js';
import type { EphemeralTokenRule, EphemeralTokenType } from './ephemeral-token-options.js';
import type { RateLimitOptions } from './rate-limit-options.js';

/** How long a session lives, and how many of them one user may have. */
export class SessionSettings {
  /**
   * `database` (default): an opaque token, a row for each session, everything revocable and listed. `signed-cookie`:
   * the cookie holds the identity itself, readable and writable by an itsdangerous system beside this one.
   */
  scheme: 'database' | 'signed-cookie' = 'database';

  /**
   * How the token of a database session is spelled: `opaque` (default) or `signed` (`raw.hexHmac`), for a team that
   * moves from a system with such tokens. Changing it ends every session.
   */
  tokenFormat: 'opaque' | 'signed' = 'opaque';

  /**
   * Idle timeout: a session that is not used for this long ends. Default 30 days, the most that NIST 800-63B allows at
   * AAL1. It is pushed forward by use, see `extendBelow`.
   */
  ttl: Duration = days(30);

  /**
   * A used session is extended to a full `ttl` again once **less** than this is left; with exactly this much left
   * nothing is written. Default 7 days, so an active session costs one write in 23 days. It is also the resolution of
   * `lastSeenAt`: set it to `days(29)` to know the day a session was last used. 0 turns extension off.
   */
  extendBelow: Duration = days(7);

  /**
   * Absolute lifetime, counted from the authentication: no activity extends a session past it. Default 90 days, at
   * most 400; "unlimited" cannot be written (OWASP ASVS 7.3.2, NIST 800-63B 2.1.3).
   */
  absoluteLifetime: Duration = days(90);

  /** The most sessions of one user; one more login ends the least recently used. Default 25. */
  maxPerUser: number = 25;

  /**
   * How long after a rotation without a login (`SessionService.rotate`) the old token still leads to the new one, for
   * tabs whose requests were under way. Presented later it counts as stolen and ends the session. Default 30 seconds,
   * at most 5 minutes; 0 refuses it at once, which logs out a user with two tabs open.
   */
  rotationGrace: Duration = seconds(30);
}

/** The session cookie. HttpOnly and Path=/ are always set; Domain never, but to clear the cookies of `clearDomains`. */
export class CookieSettings {
  /** Without a prefix: `__Host-` is added while `secure` is on. Default `session`. */
  name: string = 'session';

  /**
   * Default true, whatever NODE_ENV says. Turn it off only for development over plain http; the `__Host-` prefix goes
   * with it, since browsers refuse the one without the other.
   */
  secure: boolean = true;

  /**
   * Whether the cookie is called `__Host-…` while it is secure. Default true; turn it off only to keep reading the
   * cookies of the system that you are moving from, since the prefix keeps other hosts of your domain from setting the
   * cookie.
   */
  hostPrefix: boolean = true;

  /** Default `lax`: sent on top-level navigation, not on cross-site POST. `none` needs `secure`. */
  sameSite: 'lax' | 'strict' | 'none' = 'lax';

  /**
   * Domains, such as `example.com`, for which another system (or an older version of yours) has set a cookie of the same
   * name. A browser sends both then, and nobody is logged in by either; logins, logouts and requests with two cookies
   * clear those of these domains. Needs `hostPrefix: false`: a `__Host-` cookie never has a domain. Default none.
   */
  clearDomains: readonly string[] = [];
}

/** How passwords are hashed (argon2id), and how many at once. Read by the default user directory. */
export class PasswordSettings {
  /** Memory per hash in KiB. Default 19456 (19 MiB, OWASP password storage cheat sheet). */
  memoryCost: number = 19_456;

  /** Passes. Default 2 (OWASP). */
  timeCost: number = 2;

  /** Lanes. Default 1 (OWASP). */
  parallelism: number = 1;

  /**
   * Hashes that run at once. Default: one less than the number of cores, so that a flood of logins leaves a core for
   * everything else.
   */
  concurrency: number = Math.max(1, availableParallelism() - 1);

  /** Hashes that wait when `concurrency` are running; one more is answered 503 at once. Default 128. */
  queue: number = 128;
}

/** The signed tokens of `JwtCodecService`. */
export class JwtSettings {
  /** The algorithm that signs, and the only one accepted. Default `HS256`. Changing it ends every token in use. */
  algorithm: 'HS256' | 'HS384' | 'HS512' = 'HS256';

  /** Lifetime of a token that is encoded without its own. Default 2 hours. */
  ttl: Duration = hours(2);

  /** Written into every token as `aud` and required of every token; with `null`, a token that has one is refused. */
  audience: string | null = null;

  /** Whether `Authorization: Bearer` with a JWT of purpose `session` authenticates a request. Default false. */
  sessions: boolean = false;
}

/** What the host writes in `AuthModule.forRoot({ … })`. Only `secrets` has no default. */
export interface AuthOptions {
  /**
   * Master secrets, each at least 32 characters: the first signs, all verify. Rotate by putting the new one first and
   * dropping the old one when the longest-lived value signed with it has expired.
   */
  secrets: readonly string[];
  session?: Partial<SessionSettings>;
  cookie?: Partial<CookieSettings>;
  password?: Partial<PasswordSettings>;
  jwt?: Partial<JwtSettings>;
  cache?: Partial<CacheSettings>;
  cleanup?: Partial<CleanupSettings>;
  audit?: Partial<AuditSettings>;
  /**
   * The origin under which browsers reach the application, such as `https://app.example.com`: scheme and host, no path.
   * With it the scheme counts too where a browser sends no `Sec-Fetch-Site`, so that a page on the plain-http twin of
   * your host is a foreign one. Default: none, and the request's own host is trusted under either scheme, since behind a
   * proxy that ends TLS the scheme cannot be seen.
   */
  baseUrl?: string;
  /**
   * Other origins whose pages may send state-changing requests, such as `https://app.example.com`. The request's own
   * host is always trusted. Default none.
   */
  trustedOrigins?: readonly string[];
  /**
   * Path of the login page, such as `/login`, for applications that render their own pages: a browser that asks for
   * HTML without a session is redirected there (303; htmx by `HX-Redirect`) instead of being answered 401. Default:
   * 401.
   */
  loginPage?: string;
  /**
   * Addresses and networks (`10.0.0.0/8`) of the proxies in front, whose `X-Forwarded-For` is believed. Default none:
   * the client is the peer of the connection. List only your own proxies, or clients choose their address. `'unix'` is
   * whoever connects to a Unix socket that the server listens on, such as nginx on the same machine.
   */
  trustedProxies?: readonly string[];
  /** Other lifetimes for single-use tokens, and the rules of types that the host adds. */
  ephemeralTokens?: { [Type in EphemeralTokenType]?: Partial<EphemeralTokenRule> };
  rateLimits?: RateLimitOptions;
}

/** The HTTP routes of this module. Without `routes` it mounts none. */
export interface RouteOptions {
  /** Where they are mounted, under the host's global prefix: `auth` gives `POST /auth/login` and so on. */
  path: string;
  /**
   * Whether `POST login` and `POST token` are mounted too. Default true. Turn it off if you have your own login that
   * asks for more than the password: these ask for the password only.
   */
  login?: boolean;
  /** Logout also answers `Clear-Site-Data: "cache", "cookies", "storage"`. Default false. */
  clearSiteData?: boolean;
}
