import type { AssuranceSettings } from './assurance-settings.js';
import type { AuditSettings } from './audit-settings.js';
import type { CacheSettings } from './cache-settings.js';
import type { CleanupSettings } from './cleanup-settings.js';
import type { CookieSettings } from './cookie-settings.js';
import type { DatabaseSettings } from './database-settings.js';
import type { EphemeralTokenRule, EphemeralTokenType } from './ephemeral-token-settings.js';
import type { FlowOptions } from './flow-settings.js';
import type { JwtSettings } from './jwt-settings.js';
import type { LegacySessionSettings } from './legacy-session-settings.js';
import type { MailSettings } from './mail-settings.js';
import type { PasswordSettings } from './password-settings.js';
import type { RateLimitOptions } from './rate-limit-settings.js';
import type { SessionOptions } from './session-settings.js';
import type { TableSettings } from './table-settings.js';

/** The options of `AuthModule.forRoot({ … })`. Only `secrets` has no default. */
export interface AuthOptions {
  /**
   * Master secrets, each at least 32 characters: the first signs, all verify. Rotate by putting the new one first and
   * dropping the old one when the longest-lived value signed with it has expired.
   */
  secrets: readonly string[];
  session?: SessionOptions;
  cookie?: Partial<CookieSettings>;
  password?: Partial<PasswordSettings>;
  jwt?: Partial<JwtSettings>;
  cache?: Partial<CacheSettings>;
  cleanup?: Partial<CleanupSettings>;
  audit?: Partial<AuditSettings>;
  /** What the proofs of a login are worth. */
  assurance?: Partial<AssuranceSettings>;
  database?: Partial<DatabaseSettings>;
  /** Other names for the module's tables. Pass the same object to `authSchemaFor({ tables })`. */
  tables?: Partial<TableSettings>;
  /**
   * The origin under which browsers reach the application, such as `https://app.example.com`: scheme and host, no path.
   * If it is set, the scheme is checked even where a browser sends no `Sec-Fetch-Site`, so that a page on the
   * plain-http twin of your host is foreign. Every mailed link begins with it, so it is required with `mailer`. Default:
   * none, and the request's own host is trusted under either scheme, since behind a proxy that terminates TLS the scheme
   * cannot be seen.
   */
  baseUrl?: string;
  /** Needs `mailer`. */
  mail?: Partial<MailSettings>;
  /**
   * Other origins whose pages may send state-changing requests, such as `https://app.example.com`. The request's own
   * host is always trusted. Default none.
   */
  trustedOrigins?: readonly string[];
  /**
   * Path of the login page, such as `/login`, for applications that render their own pages: a browser that asks for
   * HTML without a session is redirected there (303; htmx by `HX-Redirect`) instead of getting a 401. Default: none.
   */
  loginPage?: string;
  /**
   * Addresses and networks (`10.0.0.0/8`) of your proxies, whose `X-Forwarded-For` is trusted. Default none: the client
   * is the peer of the connection. List only your own proxies, or clients can choose their address. `'unix'` means any
   * peer on a Unix socket that the server listens on, such as nginx on the same machine.
   */
  trustedProxies?: readonly string[];
  /** Other lifetimes for the built-in single-use tokens, and the rules of types you add. */
  ephemeralTokens?: { [Type in EphemeralTokenType]?: Partial<EphemeralTokenRule> };
  rateLimits?: RateLimitOptions;
  /** The settings of the flows. With `forRootAsync`, those named beside the factory. */
  flows?: FlowOptions;
  /** Takes over the sessions of the system that you move in from, each once. Default: none. */
  legacySessions?: LegacySessionSettings;
}
