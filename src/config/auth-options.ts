import type { AuditSettings } from './audit-settings.js';
import type { CacheSettings } from './cache-settings.js';
import type { CleanupSettings } from './cleanup-settings.js';
import type { CookieSettings } from './cookie-settings.js';
import type { DatabaseSettings } from './database-settings.js';
import type { EphemeralTokenRule, EphemeralTokenType } from './ephemeral-token-settings.js';
import type { JwtSettings } from './jwt-settings.js';
import type { PasswordSettings } from './password-settings.js';
import type { RateLimitOptions } from './rate-limit-settings.js';
import type { SessionSettings } from './session-settings.js';
import type { TableSettings } from './table-settings.js';

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
  database?: Partial<DatabaseSettings>;
  /** Other names for the module's tables: the same as `authSchemaFor({ tables })` is given. */
  tables?: Partial<TableSettings>;
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
