import { Injectable, Logger, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { headerOf, printable, requestOf, type AuthRequest } from './auth-request.js';
import { isCrossOrigin } from './auth.decorators.js';
import { bearerOf } from './credentials.js';
import { SessionCookie } from './session-cookie.js';

/** Origins are the client's words: the log names so many of them, and then no more. */
const MOST_LOGGED = 100;
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/**
 * Refuses state-changing requests that a browser sends from a foreign page (CSRF, login CSRF; OWASP ASVS 3.5): unsafe
 * methods, and whatever comes over a WebSocket (graphql-ws too), whose handshake is a GET that no same-origin policy
 * holds back.
 *
 * - `Sec-Fetch-Site: same-origin` or `none` is ours; else `Origin` must be the request's own host or one of
 *   `trustedOrigins`; with `baseUrl` its scheme too. Without either header it was no browser of these years: a cookie of ours is SameSite then.
 * - A request with a bearer token and without our cookie passes: a foreign page cannot set `Authorization` without the
 *   host's CORS consent, and nothing is sent along by itself.
 * - A handler that is `@CrossOrigin()` takes requests from everywhere.
 */
@Injectable()
export class OriginGuard implements CanActivate {
  private readonly logger = new Logger('Auth');
  private readonly logged = new Set<string>();

  constructor(
    private readonly config: AuthConfig,
    private readonly cookie: SessionCookie,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const request = requestOf(context);
    if (!request) return true;
    const isSocket = context.getType() === 'ws' || headerOf(request, 'upgrade') !== undefined;
    const unsafe = isSocket || !SAFE_METHODS.has((request.method ?? 'POST').toUpperCase());
    if (unsafe && !isCrossOrigin(context)) this.checkHandshake(request);
    return true;
  }

  /** @internal Throws `CROSS_ORIGIN_REQUEST`, whatever the method is. */
  checkHandshake(request: AuthRequest): void {
    if (this.isTrusted(request) || this.isBearerOnly(request)) return;
    const origin = printable(headerOf(request, 'origin') ?? 'not told');
    this.tell(origin);
    throw new AuthError(
      'CROSS_ORIGIN_REQUEST',
      `A page of another origin (${origin}) sent this request. List the origin in trustedOrigins if it is yours.`,
      { origin },
    );
  }

  /** Once for each origin, since the client's message does not say what to do. */
  private tell(origin: string): void {
    if (this.logged.has(origin) || this.logged.size >= MOST_LOGGED) return;
    this.logged.add(origin);
    this.logger.warn(
      `CROSS_ORIGIN_REQUEST: refused a request from a page of another origin (${origin}). If it is yours, list it in ` +
        'trustedOrigins. This is said once for each origin.',
    );
  }

  private isTrusted(request: AuthRequest): boolean {
    const site = headerOf(request, 'sec-fetch-site');
    if (site === 'same-origin' || site === 'none') return true;
    const origin = headerOf(request, 'origin');
    if (origin === undefined) return site === undefined;
    if (this.config.trustedOrigins.includes(origin)) return true;
    return site === undefined && this.isOwn(origin, headerOf(request, 'host') ?? headerOf(request, ':authority'));
  }

  /**
   * Without `baseUrl` the host alone: behind a proxy that ends TLS the scheme we see is not the browser's. A browser
   * writes an origin in one spelling; whatever `URL` would mend into that is none.
   */
  private isOwn(origin: string, host: string | undefined): boolean {
    const { baseUrl } = this.config;
    if (origin === baseUrl) return true;
    if (host === undefined || !URL.canParse(origin)) return false;
    const url = new URL(origin);
    const isOurScheme = baseUrl === undefined || url.protocol === new URL(baseUrl).protocol;
    return isOurScheme && url.origin === origin && url.host === host.toLowerCase();
  }

  private isBearerOnly(request: AuthRequest): boolean {
    return bearerOf(request) !== null && this.cookie.values(headerOf(request, 'cookie')).length === 0;
  }
}
