import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { headerOf, requestOf, type AuthRequest } from './auth-request.js';
import { bearerOf } from './credentials.js';
import { SessionCookie } from './session-cookie.js';

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
 */
@Injectable()
export class OriginGuard implements CanActivate {
  constructor(
    private readonly config: AuthConfig,
    private readonly cookie: SessionCookie,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const request = requestOf(context);
    if (!request) return true;
    const isSocket = context.getType() === 'ws' || headerOf(request, 'upgrade') !== undefined;
    const unsafe = isSocket || !SAFE_METHODS.has((request.method ?? 'POST').toUpperCase());
    if (!unsafe || this.isTrusted(request) || this.isBearerOnly(request)) return true;
    const origin = printable(headerOf(request, 'origin') ?? 'not told');
    throw new AuthError(
      'CROSS_ORIGIN_REQUEST',
      `A page of another origin (${origin}) sent this request. List the origin in trustedOrigins if it is yours.`,
      { origin },
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

function printable(header: string): string {
  return header.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 100);
}
