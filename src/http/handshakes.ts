import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import type { Session } from '../session/session.js';
import { attachAuth, authOf, presentToken, type AuthRequest, type RequestAuth } from './auth-request.js';
import { OriginGuard } from './origin.guard.js';
import { isRefusal, RequestAuthenticator } from './request-authenticator.js';

export interface HandshakeOptions {
  /** What the client sent outside the headers: `connectionParams` of graphql-ws, `auth` of socket.io. */
  params?: unknown;
  /** Also admits clients without a live session. Default false. A page of another origin is refused in any case. */
  allowAnonymous?: boolean;
}

export interface Verdict {
  readonly auth: RequestAuth | null;
  /** Its `data` is what socket.io passes to the client, its `status` what ws answers. */
  readonly refusal?: Error & { readonly data: { readonly code: string }; readonly status: number };
}

/** Authenticates the handshakes of sockets, which pass no guard. */
@Injectable()
export class Handshakes {
  constructor(
    private readonly authenticator: RequestAuthenticator,
    private readonly origins: OriginGuard,
  ) {}

  /** See `SessionConnections.authenticate`. The result is attached to the request. */
  async authenticate(
    request: AuthRequest,
    { params, allowAnonymous = false }: HandshakeOptions,
  ): Promise<RequestAuth | null> {
    presentToken(request, params);
    this.origins.checkHandshake(request, { needsSession: true });
    const credentials = this.authenticator.credentialsOf(request, null);
    try {
      // A client that reconnects by itself has held its token for a while: an outdated one is not a sign of theft.
      const auth = credentials && (await this.authenticator.authenticate(credentials, null, { fromHandshake: true }));
      if (!auth && !allowAnonymous) {
        throw new AuthError(
          'UNAUTHENTICATED',
          'Connect with the session cookie or bearer token of a live session.',
          {},
        );
      }
      if (!auth) return this.admitAnonymously(request);
      attachAuth(request, auth);
      return auth;
    } catch (error) {
      if (!allowAnonymous || !isRefusal(error)) throw error;
      return this.admitAnonymously(request);
    }
  }

  /** A token that names nobody does not make a foreign page ours. */
  private admitAnonymously(request: AuthRequest): null {
    this.origins.checkHandshake(request, { needsSession: false });
    attachAuth(request, null);
    return null;
  }

  /** As `authenticate`, for servers that expect a refusal as a value and catch nothing. */
  async judge(request: AuthRequest, options: HandshakeOptions): Promise<Verdict> {
    try {
      return { auth: await this.authenticate(request, options) };
    } catch (error) {
      const fault = asAuthError(error, 'The handshake');
      const { code } = fault;
      // A client gets only the code: the message is for the operator.
      return { auth: null, refusal: Object.assign(new Error(code), { data: { code }, status: fault.getStatus() }) };
    }
  }

  sessionOf(request: AuthRequest): Session | null {
    return authOf(request)?.session ?? null;
  }
}
