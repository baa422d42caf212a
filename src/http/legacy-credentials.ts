import { Injectable } from '@nestjs/common';
import { serialize } from 'cookie';
import { AuthConfig } from '../config/auth-config.js';
import type { LegacyCookie } from '../config/legacy-session-settings.js';
import { LegacySessions, type PresentedLegacySession } from '../legacy-session/legacy-sessions.js';
import type { CompletedLogin } from '../login/login.service.js';
import { headerOf, type AuthRequest } from './auth-request.js';
import { ClientIp } from './client-ip.js';
import { bearerOf } from './credentials.js';
import { cookieValues, SessionCookie } from './session-cookie.js';

/** How many different values of one old cookie are looked at: a browser has one, or a few for its paths. */
const MOST = 5;

/** The credentials of the old system in a request: see `LegacySessions`. Without `legacySessions` there are none. */
@Injectable()
export class LegacyCredentials {
  private readonly isSecure: boolean;
  private readonly isSentEverywhere: boolean;

  constructor(
    private readonly legacy: LegacySessions,
    private readonly cookie: SessionCookie,
    private readonly clientIp: ClientIp,
    config: AuthConfig,
  ) {
    this.isSecure = config.cookie.secure;
    this.isSentEverywhere = config.cookie.sameSite === 'none';
  }

  /** Opens a session of ours for the old cookie; `null` without one, or if there are two, of which one may be foreign. */
  async openByCookie(request: AuthRequest): Promise<CompletedLogin | null> {
    if (this.legacy.sources.length === 0 || !this.takesOurCookie(request)) return null;
    const cookies = this.presented(request).filter(({ source }) => source.cookies.length > 0);
    return cookies.length === 1 ? this.open(request, cookies[0]!, 'cookie') : null;
  }

  /** As `openByCookie`, for the old bearer token. */
  async openByBearer(request: AuthRequest): Promise<CompletedLogin | null> {
    for (const presented of this.presented(request)) {
      const login = presented.source.cookies.length === 0 && (await this.open(request, presented, 'bearer'));
      if (login) return login;
    }
    return null;
  }

  /** Ends the old session of every credential that was sent. */
  async end(request: AuthRequest): Promise<void> {
    for (const presented of this.presented(request)) await this.legacy.end(presented);
  }

  /** One `Set-Cookie` for each old cookie that was sent, which clears it. */
  clearing(request: AuthRequest): string[] {
    const header = headerOf(request, 'cookie');
    const cookies = this.legacy.sources.flatMap((source) => source.cookies);
    return cookies.filter(({ name }) => cookieValues(header, name).length > 0).map((cookie) => this.clear(cookie));
  }

  private open(
    request: AuthRequest,
    presented: PresentedLegacySession,
    transport: 'cookie' | 'bearer',
  ): Promise<CompletedLogin | null> {
    const ours = transport === 'cookie' ? this.cookie.values(headerOf(request, 'cookie')) : [];
    const where = this.clientIp.clientOf(request);
    return this.legacy.open(presented, { ...where, transport, presented: ours });
  }

  private presented(request: AuthRequest): PresentedLegacySession[] {
    const { sources } = this.legacy;
    if (sources.length === 0) return [];
    const header = headerOf(request, 'cookie');
    const bearer = bearerOf(request);
    return sources.flatMap((source) => {
      const sent = source.cookies.flatMap(({ name }) => cookieValues(header, name));
      if (source.cookies.length === 0 && bearer !== null) sent.push(bearer);
      return [...new Set(sent)].slice(0, MOST).map((credential) => ({ source, credential }));
    });
  }

  /**
   * Whether the browser would keep the cookie of ours that takes the place of the old one. An old cookie with
   * `SameSite=None` also comes with what a foreign page embeds or fetches: exchanged there, it would be gone and ours lost.
   */
  private takesOurCookie(request: AuthRequest): boolean {
    if (this.isSentEverywhere || headerOf(request, 'sec-fetch-site') !== 'cross-site') return true;
    return headerOf(request, 'sec-fetch-mode') === 'navigate' && headerOf(request, 'sec-fetch-dest') === 'document';
  }

  private clear({ name, domain, path = '/' }: LegacyCookie): string {
    // A browser takes a cookie with a prefix only with Secure (RFC 6265bis 4.1.3), also one that clears it.
    const secure = this.isSecure || /^__(?:Secure|Host)-/.test(name);
    return serialize(name, '', { domain, path, httpOnly: true, secure, sameSite: 'lax', maxAge: 0 });
  }
}
