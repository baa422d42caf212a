import { Injectable, Logger } from '@nestjs/common';
import { asAuthError, AuthError, type AuthErrorCode } from '../auth.errors.js';
import { BearerSessions } from '../login/bearer-sessions.js';
import { SessionScheme, type AuthenticateOptions } from '../login/session-scheme.js';
import { headerOf, type AuthRequest, type RequestAuth } from './auth-request.js';
import { CookieWriter } from './cookie-writer.js';
import { credentialsOf, type Credentials } from './credentials.js';
import { SessionCookie } from './session-cookie.js';

/** Who a request is from. */
@Injectable()
export class RequestAuthenticator {
  private readonly logger = new Logger('Auth');
  private hasWarnedOfDuplicates = false;

  constructor(
    private readonly scheme: SessionScheme,
    private readonly bearer: BearerSessions,
    private readonly cookie: SessionCookie,
    private readonly writer: CookieWriter,
  ) {}

  /** What the request presents: see `credentialsOf`. Two cookies of our name are told once, and mended where possible. */
  credentialsOf(request: AuthRequest, response: object | null): Credentials | null {
    const credentials = credentialsOf(request, this.cookie);
    if (!credentials && this.cookie.values(headerOf(request, 'cookie')).length > 1)
      this.handleDuplicateCookies(response);
    return credentials;
  }

  /** Most requests: memory knows the session, so that nothing is waited for. `null`: call `authenticate`. */
  authenticateCached({ token, transport }: Credentials): RequestAuth | null {
    try {
      const found =
        transport === 'cookie' ? this.scheme.authenticateCached(token) : this.bearer.authenticateCached(token);
      return found && { user: found.user, session: found.session, transport };
    } catch {
      // `authenticate` meets the same fault, and says what it is.
      return null;
    }
  }

  /**
   * Whose live session the credentials are, or `null`; a cookie that is due is renewed on the response. `fromHandshake`: they
   * are those of a socket's handshake, which keeps its token when the tabs have gone on to another. A JWT that does not
   * hold throws its reason, see `isRefusal`. A fault is thrown as `STORE_UNAVAILABLE`.
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

  private handleDuplicateCookies(response: object | null): void {
    if (response) this.writer.clearTwins(response);
    // With the prefix no other host and no Domain can have set one of them: a browser did not send this.
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
    // The client would go on sending the cookie that is nobody's for as long as the browser keeps it.
    if (other && response) this.writer.clear(response);
    return other;
  }

  private async lookUpBearer(token: string, options: AuthenticateOptions): Promise<RequestAuth | null> {
    const found = await this.bearer.authenticate(token, options);
    return found && { ...found, transport: 'bearer' };
  }
}

const REFUSALS = new Set<AuthErrorCode>(['INVALID_TOKEN', 'TOKEN_REVOKED', 'ACCOUNT_INACTIVE', 'TOKENS_INVALIDATED']);

/** Whether `authenticate` threw this of a token, as opposed to a fault: where no session is needed the token is nobody's. */
export function isRefusal(error: unknown): boolean {
  return error instanceof AuthError && REFUSALS.has(error.code);
}
