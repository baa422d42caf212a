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
import { AuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import type { RouteOptions } from '../config/route-options.js';
import { JwtSessionService } from '../jwt-session/jwt-session.service.js';
import { PasswordLogin } from '../login/password-login.js';
import { isSelfContained, type Session } from '../session/session.js';
import { SessionService, type ListedSession } from '../session/session.service.js';
import type { AuthUser } from '../user/user.directory.js';
import {
  type CurrentAnswer,
  type DoneAnswer,
  dueAnswer,
  iso,
  listed,
  loginAnswer,
  type LoginAnswer,
  type LogoutAllAnswer,
  type PendingAnswer,
  type SessionListAnswer,
  shown,
  type TokenAnswer,
} from './answers.js';
import type { AuthRequest } from './auth-request.js';
import { CurrentSession, CurrentUser, ExtensionByQuery, Public } from './auth.decorators.js';
import { HttpSessions } from './http-sessions.js';
import { parseLoginBody, type LoginBody } from './login-body.js';
import { OriginGuard } from './origin.guard.js';
import { SessionGuard } from './session.guard.js';
import { TakesBody, TakesNoBody } from './body-parse-errors.js';

const NO_STORE = ['Cache-Control', 'no-store'] as const;

/**
 * Login, logout and the user's own sessions. Statuses: 200, 401, 403 (origin), 404 (handle), 422 (body), 429 (too many
 * failed logins), 503 (fault, or no account yet). Mounted by `routes: { path }` only, through `authControllerAt`.
 */
@UseGuards(OriginGuard, SessionGuard)
export class AuthController {
  constructor(
    private readonly http: HttpSessions,
    private readonly passwords: PasswordLogin,
    private readonly sessions: SessionService,
    private readonly jwts: JwtSessionService,
    private readonly config: AuthConfig,
  ) {}

  /** Opens a session, sets the cookie, and ends the session of the cookie that was sent. The body has no token. */
  @Public()
  @TakesBody()
  @Post('login')
  @HttpCode(200)
  @Header(...NO_STORE)
  async login(
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<LoginAnswer | PendingAnswer> {
    const { email, password, remember } = this.parse(body);
    const login = await this.http.start(request, response, this.passwords.attempt(email, password), { remember });
    return loginAnswer(login);
  }

  /** The same for clients without cookies: the token is in the body, and no cookie is set. */
  @Public()
  @TakesBody()
  @Post('token')
  @HttpCode(200)
  @Header(...NO_STORE)
  async token(@Req() request: AuthRequest, @Body() body: unknown): Promise<TokenAnswer | PendingAnswer> {
    const { email, password, remember } = this.parse(body);
    const login = await this.http.issueToken(request, this.passwords.attempt(email, password), { remember });
    if (login.status !== 'authenticated') return dueAnswer(login);
    const { user, token, expiresAt, status } = login;
    return { status, token, tokenType: 'Bearer', user: shown(user), expiresAt: iso(expiresAt) };
  }

  /**
   * Ends the session of every credential that was sent, cookie and bearer token alike, and clears the cookie. Always
   * 200, even without credentials or with expired ones. While the database is unavailable it is 503, and the cookie
   * stays for the next try.
   */
  @Public()
  @TakesNoBody()
  @Post('logout')
  @HttpCode(200)
  @Header(...NO_STORE)
  async logout(@Req() request: AuthRequest, @Res({ passthrough: true }) response: object): Promise<DoneAnswer> {
    await this.http.end(request, response);
    return { message: 'Logged out.' };
  }

  /** The current user and session; with `?extend=false` the request does not count as use of the session. */
  @ExtensionByQuery()
  @Get('session')
  @Header(...NO_STORE)
  session(@CurrentUser() user: AuthUser, @CurrentSession() session: Session): CurrentAnswer {
    return { valid: true, user: shown(user), session: listed(session, session) };
  }

  /** The user's live sessions, most recently used first; without tokens and ids. */
  @Get('sessions')
  @Header(...NO_STORE)
  async list(@CurrentUser() user: AuthUser, @CurrentSession() current: Session): Promise<SessionListAnswer> {
    const stored = await this.sessions.listForUser(user.id);
    if (!this.config.jwt.registry) return withCurrent(stored, current).map((session) => listed(session, current));
    const jwts = await this.jwts.listForUser(user);
    const isJwt = new Set(jwts.map(({ handle }) => handle));
    if (isSelfContained(current) && current.id !== current.handle) isJwt.add(current.handle);
    const all = [...stored, ...jwts].toSorted((a, b) => b.lastSeenAt - a.lastSeenAt);
    const { scheme } = this.config.session;
    return withCurrent(all, current).map((session) => {
      const own = stored.includes(session) ? 'database' : scheme;
      return { ...listed(session, current), kind: isJwt.has(session.handle) ? 'jwt' : own };
    });
  }

  /** Ends one of the user's own sessions. 404 for any other handle, including those of other users. */
  @TakesNoBody()
  @Delete('sessions/:handle')
  @HttpCode(200)
  @Header(...NO_STORE)
  async revoke(
    @CurrentUser('id') userId: string,
    @CurrentSession() current: Session,
    @Param('handle') handle: string,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
  ): Promise<DoneAnswer> {
    if (handle === current.handle) {
      await this.http.end(request, response);
    } else if (
      !(await this.sessions.revokeByHandle(userId, handle)) &&
      !(await this.jwts.revokeByHandle(userId, handle))
    ) {
      throw new AuthError('SESSION_NOT_FOUND', 'The user has no session with this handle: list them again.', {});
    }
    return { message: 'Session ended.' };
  }

  /** Ends all sessions of the user, including this one, and with them signed cookies and JWTs. */
  @TakesNoBody()
  @Post('logout-all')
  @HttpCode(200)
  @Header(...NO_STORE)
  async logoutAll(
    @CurrentUser('id') userId: string,
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
  ): Promise<LogoutAllAnswer> {
    return { message: 'Logged out everywhere.', ended: await this.http.endAll(request, response, userId) };
  }

  private parse(body: unknown): LoginBody {
    return parseLoginBody(body, { remembers: this.config.session.remembered !== null });
  }
}

/** A controller of its own for every module instance, so that two apps in one process can mount different paths. */
export function authControllerAt({ path, login = true }: RouteOptions): Type<AuthController> {
  class MountedAuthController extends AuthController {}
  // Overriding a method without its decorators removes the route.
  if (!login)
    for (const name of ['login', 'token']) Object.defineProperty(MountedAuthController.prototype, name, { value() {} });
  Controller(path)(MountedAuthController);
  return MountedAuthController;
}

/** A signed cookie or JWT may be in no list, but the caller is logged in with it. */
function withCurrent(sessions: readonly ListedSession[], current: Session): readonly ListedSession[] {
  return sessions.some(({ handle }) => handle === current.handle) ? sessions : [current, ...sessions];
}
