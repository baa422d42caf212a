import {
  Body,
  Controller,
  Delete,
  Get,
  Header,
  HttpCode,
  Param,
  Post,
  Req,
  Res,
  UseGuards,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { asAuthError, AuthError, isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { RouteOptions } from '../config/auth-options.js';
import { AuthEvents } from '../events/auth-events.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import type { Session } from '../session/session.js';
import { SessionService, type ListedSession } from '../session/session.service.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { headerOf, type AuthRequest } from './auth-request.js';
import { CurrentSession, CurrentUser, Public } from './auth.decorators.js';
import { BearerSessions } from '../login/bearer-sessions.js';
import { ClientIp } from './client-ip.js';
import { CookieWriter } from './cookie-writer.js';
import { bearerOf } from './credentials.js';
import { parseLoginBody } from './login-body.js';
import { LoginLimits } from '../login/login-limits.js';
import { OriginGuard } from './origin.guard.js';
import { SessionCookie } from './session-cookie.js';
import { SessionScheme, type CookieValue, type OpeningContext } from '../login/session-scheme.js';
import { SessionGuard } from './session.guard.js';

const NO_STORE = ['Cache-Control', 'no-store'] as const;

/**
 * Login, logout and the user's own sessions (seed 004). Statuses: 200, 401, 403 (origin), 404 (handle), 422 (body), 429
 * (too many failed logins), 503 (fault, or no account yet). Mounted by `routes: { path }` only, through `authControllerAt`.
 */
@UseGuards(OriginGuard, SessionGuard)
export class AuthController {
  constructor(
    private readonly sessions: SessionService,
    private readonly scheme: SessionScheme,
    private readonly bearer: BearerSessions,
    private readonly revocation: TokenRevocationService,
    private readonly users: UserDirectory,
    private readonly limits: LoginLimits,
    private readonly clientIp: ClientIp,
    private readonly cookie: SessionCookie,
    private readonly writer: CookieWriter,
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly adapterHost: HttpAdapterHost,
    private readonly events: AuthEvents,
  ) {}

  /** Opens a session, sets the cookie, and ends the session of the cookie that came along. The body has no token. */
  @Public()
  @Post('login')
  @HttpCode(200)
  @Header(...NO_STORE)
  async login(@Req() request: AuthRequest, @Res({ passthrough: true }) response: object, @Body() body: unknown) {
    const [presented = null, ...others] = this.cookie.values(headerOf(request, 'cookie'));
    const { user, opened } = await this.logIn(request, body, async (account, context) => {
      await this.scheme.revoke(others);
      return this.scheme.open(account, presented, context);
    });
    this.writer.set(response, opened);
    return { user: shown(user), expiresAt: iso(opened.expiresAt) };
  }

  /** The same for clients without cookies: the token is in the body, and no cookie is set. */
  @Public()
  @Post('token')
  @HttpCode(200)
  @Header(...NO_STORE)
  async token(@Req() request: AuthRequest, @Body() body: unknown) {
    const { user, opened } = await this.logIn(request, body, (account, context) =>
      this.bearer.open(account, bearerOf(request), context),
    );
    return { token: opened.value, tokenType: 'Bearer', user: shown(user), expiresAt: iso(opened.expiresAt) };
  }

  /**
   * Ends the session of every credential that was sent, cookie and bearer alike (R5), and clears the cookie. Always
   * 200, also with none or a dead one. When the database is away it is 503, and the cookie stays for the next try.
   */
  @Public()
  @Post('logout')
  @HttpCode(200)
  @Header(...NO_STORE)
  async logout(@Req() request: AuthRequest, @Res({ passthrough: true }) response: object) {
    await this.revokePresented(request);
    this.forget(response);
    return { message: 'Logged out.' };
  }

  /** Who am I, and until when. */
  @Get('session')
  @Header(...NO_STORE)
  session(@CurrentUser() user: AuthUser, @CurrentSession() session: Session) {
    return { valid: true, user: shown(user), session: listed(session, session) };
  }

  /** The user's live sessions, most recently used first; no tokens, no ids. */
  @Get('sessions')
  @Header(...NO_STORE)
  async list(@CurrentUser('id') userId: string, @CurrentSession() current: Session) {
    const stored = await this.sessions.listForUser(userId);
    // A signed cookie or JWT has no row; whoever looks is logged in with it all the same.
    const isStored = stored.some(({ handle }) => handle === current.handle);
    return (isStored ? stored : [current, ...stored]).map((session) => listed(session, current));
  }

  /** Ends one of the user's own sessions. 404 for any other handle, a foreign one included. */
  @Delete('sessions/:handle')
  @HttpCode(200)
  @Header(...NO_STORE)
  async revoke(
    @CurrentUser('id') userId: string,
    @CurrentSession() current: Session,
    @Param('handle') handle: string,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
  ) {
    if (handle === current.handle) {
      await this.revokePresented(request);
      this.forget(response);
    } else if (!(await this.sessions.revokeByHandle(userId, handle))) {
      throw new AuthError('SESSION_NOT_FOUND', 'The user has no session of this handle: list them anew.', {});
    }
    return { message: 'Session ended.' };
  }

  /** Ends all sessions of the user, this one too, and with them what is self-contained: signed cookies and JWTs. */
  @Post('logout-all')
  @HttpCode(200)
  @Header(...NO_STORE)
  async logoutAll(
    @CurrentUser('id') userId: string,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
  ) {
    const { session, jwt } = this.config;
    if (session.scheme === 'signed-cookie' || jwt.sessions) await this.revocation.revokeAllForUser(userId);
    const ended = await this.sessions.revokeAllForUser(userId);
    this.tellLogout(request, { userId, handle: null });
    this.forget(response);
    return { message: 'Logged out everywhere.', ended };
  }

  /** Limits, then credentials, then the session, then the limits again: what succeeded was no failure. */
  private async logIn(
    request: AuthRequest,
    body: unknown,
    open: (user: AuthUser, context: OpeningContext) => Promise<CookieValue>,
  ): Promise<{ user: AuthUser; opened: CookieValue }> {
    const { email, password } = parseLoginBody(body);
    const ip = this.clientIp.of(request);
    const attempt = { login: email, ip, factors: ['password'] };
    try {
      const done = await this.limits.around(ip, email, async () => {
        const context = { authenticatedAt: this.clock.now(), ip, userAgent: headerOf(request, 'user-agent') };
        const user = await this.verifyCredentials(email, password);
        return { user, opened: await ofExisting(open(user, context)) };
      });
      this.events.emit({ type: 'login.succeeded', at: this.clock.now(), userId: done.user.id, ...attempt });
      return done;
    } catch (error) {
      const reason = error instanceof AuthError ? error.code : 'UNKNOWN';
      this.events.emit({ type: 'login.failed', at: this.clock.now(), reason, ...attempt });
      throw error;
    }
  }

  private async verifyCredentials(login: string, password: string): Promise<AuthUser> {
    try {
      const user = await this.users.verifyCredentials(login, password);
      if (user && (user.disabledAt ?? null) === null) return user;
      if (!(await this.users.hasAccounts())) {
        throw new AuthError('SETUP_INCOMPLETE', 'Nobody can log in before the first account is created.', {});
      }
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
    throw new AuthError('INVALID_CREDENTIALS', 'Unknown account, wrong password or disabled account.', {});
  }

  private async revokePresented(request: AuthRequest): Promise<void> {
    const bearer = bearerOf(request);
    const byCookie = await this.scheme.revoke(this.cookie.values(headerOf(request, 'cookie')));
    for (const ended of byCookie) this.tellLogout(request, ended);
    if (bearer === null) return;
    for (const ended of await this.bearer.revoke(bearer)) this.tellLogout(request, ended);
  }

  private tellLogout(request: AuthRequest, { userId, handle }: { userId: string; handle: string | null }): void {
    this.events.emit({ type: 'logout', at: this.clock.now(), userId, handle, ip: this.clientIp.of(request) });
  }

  private forget(response: object): void {
    this.writer.clear(response);
    if (this.config.routes?.clearSiteData) {
      this.adapterHost.httpAdapter.setHeader(response, 'Clear-Site-Data', '"cache", "cookies", "storage"');
    }
  }
}

/** A controller of its own for every module instance, so that two apps in one process can mount different paths. */
export function authControllerAt({ path, login = true }: RouteOptions): Type<AuthController> {
  class MountedAuthController extends AuthController {}
  // A method without the decorators of the one it hides is no route.
  if (!login)
    for (const name of ['login', 'token']) Object.defineProperty(MountedAuthController.prototype, name, { value() {} });
  Controller(path)(MountedAuthController);
  return MountedAuthController;
}

/** An account that was deleted while its password was checked is an unknown one. */
async function ofExisting(opening: Promise<CookieValue>): Promise<CookieValue> {
  try {
    return await opening;
  } catch (error) {
    if (!isAuthError(error, 'USER_NOT_FOUND')) throw error;
    throw new AuthError('INVALID_CREDENTIALS', 'The account was deleted while this login was under way.', {});
  }
}

function shown({ id, email }: AuthUser) {
  return { id, email };
}

function listed(session: ListedSession, current: Session) {
  const { handle, createdAt, authenticatedAt, lastSeenAt, expiresAt, absoluteExpiresAt, ip, userAgent } = session;
  return {
    handle,
    current: handle === current.handle,
    createdAt: iso(createdAt),
    authenticatedAt: iso(authenticatedAt),
    lastSeenAt: iso(lastSeenAt),
    expiresAt: iso(expiresAt),
    absoluteExpiresAt: iso(absoluteExpiresAt),
    ip,
    userAgent,
  };
}

const iso = (instant: number): string => new Date(instant).toISOString();
