import { Injectable, Logger, Optional } from '@nestjs/common';
import { asAuthError, AuthError, type AuthErrorCode } from '../auth.errors.js';
import { BearerSessions } from '../login/bearer-sessions.js';
import { SessionScheme, type AuthenticateOptions } from '../login/session-scheme.js';
import { ApiKeyAuthenticator } from './api-key-authenticator.js';
import { headerOf, type AuthRequest, type RequestAuth } from './auth-request.js';
import { CookieWriter } from './cookie-writer.js';
import { bearerOf, credentialsOf, type Credentials } from './credentials.js';
import { LegacyCredentials } from './legacy-credentials.js';
import { SessionCookie } from './session-cookie.js';

/** Identifies the sender of a request. */
@Injectable()
export class RequestAuthenticator {
  private readonly logger = new Logger('Auth');
  private hasWarnedOfDuplicates = false;

  constructor(
    private readonly scheme: SessionScheme,
    private readonly bearer: BearerSessions,
    private readonly cookie: SessionCookie,
    private readonly writer: CookieWriter,
    private readonly legacy: LegacyCredentials,
    @Optional() private readonly apiKeys?: ApiKeyAuthenticator,
  ) {}

  /** The API key that came with the request, with `flows.apiKeys`. Such a request has no session. */
  apiKeyOf(request: AuthRequest): string | null {
    return this.apiKeys?.presentedBy(request) ?? null;
  }

  /**
   * The request's credentials: see the function `credentialsOf`. If two cookies share our name, logs one warning and
   * clears the extra one where possible. `null` for a request with an API key.
   */
  credentialsOf(request: AuthRequest, response: object | null): Credentials | null {
    if (this.apiKeyOf(request) !== null) return null;
    const credentials = credentialsOf(request, this.cookie);
    if (!credentials && this.cookie.values(headerOf(request, 'cookie')).length > 1)
      this.handleDuplicateCookies(response);
    return credentials;
  }

  /**
   * The usual case with the cache on: the session is in memory, and nothing is awaited. For `null`, call
   * `authenticate`.
   */
  authenticateCached({ token, transport }: Credentials): RequestAuth | null {
    try {
      const found =
        transport === 'cookie' ? this.scheme.authenticateCached(token) : this.bearer.authenticateCached(token);
      return found && { user: found.user, session: found.session, transport };
    } catch {
      // `authenticate` will meet the same fault and throw it.
      return null;
    }
  }

  /**
   * The user and live session of the credentials, or `null`; a cookie that is due is renewed on the response.
   * `fromHandshake`: they come from a socket's handshake, which keeps its token while the browser's tabs have moved on
   * to a newer one. A rejected JWT throws its reason, see `isRefusal`. A fault is thrown as `STORE_UNAVAILABLE`.
   */
  async authenticate(
    credentials: Credentials,
    response: object | null,
    options: AuthenticateOptions = {},
  ): Promise<RequestAuth | null> {
    try {
      return await this.lookUp(credentials, response, options);
    } catch (error) {
      throw asAuthError(error, 'The session lookup');
    }
  }

  /**
   * As `authenticate`; and where that finds nobody, the session of the old system, which ends: ours is set on the
   * response (`legacySessions`). A response whose headers have been sent cannot carry it, so the old one stays then.
   */
  async identify(
    request: AuthRequest,
    credentials: Credentials | null,
    response: object | null,
    options: AuthenticateOptions = {},
  ): Promise<RequestAuth | null> {
    const found = credentials && (await this.authenticate(credentials, response, options));
    if (found || !response || options.fromHandshake || this.writer.isSent(response)) return found;
    // OriginGuard lets a request with a bearer token through without asking where it comes from.
    if (bearerOf(request) !== null) return null;
    try {
      return await this.takeOver(request, response);
    } catch (error) {
      throw asAuthError(error, 'The session lookup');
    }
  }

  private async takeOver(request: AuthRequest, response: object): Promise<RequestAuth | null> {
    // With two cookies of our name, a third would not be read.
    if (this.cookie.values(headerOf(request, 'cookie')).length > 1) return null;
    const login = await this.legacy.openByCookie(request);
    const opened = login && (await this.scheme.authenticate(login.credential.value, { extend: false }));
    if (!opened) return null;
    this.writer.set(response, login.credential, login.device, this.legacy.clearing(request));
    return { user: opened.user, session: opened.session, transport: 'cookie' };
  }

  private handleDuplicateCookies(response: object | null): void {
    if (response) this.writer.clearTwins(response);
    // With the prefix, no other host and no Domain attribute can have set one of them: a browser did not send this.
    if (this.hasWarnedOfDuplicates || this.cookie.name.startsWith('__Host-')) return;
    this.hasWarnedOfDuplicates = true;
    this.logger.warn(
      `A request came with two cookies named '${this.cookie.name}', so it is nobody's, and a login does not help: one ` +
        'of them was set with a Domain. List that domain in cookie.clearDomains, and the next answer clears it. This is ' +
        'said once.',
    );
  }

  private async lookUp(
    { token, transport, bearer }: Credentials,
    response: object | null,
    options: AuthenticateOptions,
  ): Promise<RequestAuth | null> {
    if (transport === 'bearer') return this.lookUpBearer(token, options);
    const found = await this.scheme.authenticate(token, options);
    if (found) {
      if (found.reissue && response) this.writer.renew(response, found.reissue);
      return { user: found.user, session: found.session, transport };
    }
    const other = bearer === null ? null : await this.lookUpBearer(bearer, options);
    // Otherwise the client would keep sending the dead cookie for as long as the browser stores it.
    if (other && response) this.writer.clear(response);
    return other;
  }

  private async lookUpBearer(token: string, options: AuthenticateOptions): Promise<RequestAuth | null> {
    const found = await this.bearer.authenticate(token, options);
    return found && { ...found, transport: 'bearer' };
  }
}

const REFUSALS = new Set<AuthErrorCode>(['INVALID_TOKEN', 'TOKEN_REVOKED', 'ACCOUNT_INACTIVE', 'TOKENS_INVALIDATED']);

/**
 * Whether this error rejects the token rather than reporting a fault. Where a session is optional, a rejected token
 * means anonymous.
 */
export function isRefusal(error: unknown): boolean {
  return error instanceof AuthError && REFUSALS.has(error.code);
}
