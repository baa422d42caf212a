import { Injectable, Logger, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { authOf, headerOf, printable, requestOf, type AuthRequest } from './auth-request.js';
import { accessOf, isCrossOrigin, needsSession } from './auth.decorators.js';
import { bearerOf } from './credentials.js';
import { SessionCookie } from './session-cookie.js';

/** Clients choose what they send as an origin, so the log names this many and then no more. */
const MOST_LOGGED = 100;
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/**
 * Refuses state-changing requests that a browser sends from a foreign page (CSRF, login CSRF; OWASP ASVS 3.5): unsafe
 * methods, and everything over a WebSocket (graphql-ws too), whose handshake is a GET that no same-origin policy holds
 * back.
 *
 * - `Sec-Fetch-Site: same-origin` or `none` is ours. Otherwise `Origin` must be the request's own host, with `baseUrl`
 *   also its scheme, or one of `trustedOrigins`.
 * - A request with neither header did not come from a current browser and is let through; our cookie's SameSite
 *   attribute limits what it can carry.
 * - A request with a bearer token and without our cookie is let through: a foreign page cannot set `Authorization`
 *   without your CORS consent, and nothing is sent along automatically.
 * - So is a token in socket.io's `auth` or in graphql-ws's `connectionParams`, but only where a live session is needed: a
 *   foreign page can send one that it has made up.
 * - A handler with `@CrossOrigin()` accepts requests from everywhere.
 *
 * It throws `CROSS_ORIGIN_REQUEST` (403). It runs for every handler unless `globalGuard` is false.
 *
 * @example
 * ```ts
 * @UseGuards(OriginGuard, SessionGuard) // on a gateway with Nest 11, or with globalGuard: false
 * @WebSocketGateway()
 * export class NotesGateway {}
 * ```
 */
@Injectable()
export class OriginGuard implements CanActivate {
  private readonly logger = new Logger('Auth');
  private readonly logged = new Set<string>();

  constructor(
    private readonly config: AuthConfig,
    private readonly cookie: SessionCookie,
  ) {}

  /**
   * True for a safe or trusted request, and outside of HTTP and sockets.
   *
   * @throws {AuthError} `CROSS_ORIGIN_REQUEST` for a state-changing request from a foreign origin; `facts.origin` names
   *   it.
   */
  canActivate(context: ExecutionContext): boolean {
    const request = requestOf(context);
    if (!request) return true;
    const isSocket = context.getType() === 'ws' || headerOf(request, 'upgrade') !== undefined;
    const unsafe = isSocket || !SAFE_METHODS.has((request.method ?? 'POST').toUpperCase());
    if (unsafe && !isCrossOrigin(context)) {
      this.checkHandshake(request, { needsSession: needsSession(accessOf(context)) || authOf(request) !== null });
    }
    return true;
  }

  /**
   * @internal Throws `CROSS_ORIGIN_REQUEST`, whatever the method is. `needsSession`: a token of nobody is refused
   *   elsewhere.
   */
  checkHandshake(request: AuthRequest, { needsSession }: { needsSession: boolean }): void {
    if (this.isTrusted(request) || this.isBearerOnly(request, needsSession)) return;
    const origin = printable(headerOf(request, 'origin') ?? 'not told');
    this.tell(origin);
    throw new AuthError(
      'CROSS_ORIGIN_REQUEST',
      `A page of another origin (${origin}) sent this request. List the origin in trustedOrigins if it is yours.`,
      { origin },
    );
  }

  /** Warns once per origin, since the answer to the client does not say what to do. */
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
   * Without `baseUrl` only the host counts: behind a proxy that terminates TLS, the scheme we see is not the browser's.
   * A browser spells an origin in one way; anything that `URL` would have to correct is refused.
   */
  private isOwn(origin: string, host: string | undefined): boolean {
    const { baseUrl } = this.config;
    if (origin === baseUrl) return true;
    if (host === undefined || !URL.canParse(origin)) return false;
    const url = new URL(origin);
    const isOurScheme = baseUrl === undefined || url.protocol === new URL(baseUrl).protocol;
    return isOurScheme && url.origin === origin && url.host === host.toLowerCase();
  }

  private isBearerOnly(request: AuthRequest, needsSession: boolean): boolean {
    // Only the header needs CORS consent.
    const counts = needsSession || headerOf(request, 'authorization') !== undefined;
    return counts && bearerOf(request) !== null && this.cookie.values(headerOf(request, 'cookie')).length === 0;
  }
}
