import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import type { Session } from '../session/session.js';
import { attachAuth, authOf, presentToken, type AuthRequest, type RequestAuth } from './auth-request.js';
import { OriginGuard } from './origin.guard.js';
import { isRefusal, RequestAuthenticator } from './request-authenticator.js';

export interface HandshakeOptions {
  /** What the client sent beside the headers: `connectionParams` of graphql-ws, `auth` of socket.io. */
  params?: unknown;
  /** Lets those in who have no live session. Default false. A page of another origin is refused in any case. */
  allowAnonymous?: boolean;
}

export interface Verdict {
  readonly auth: RequestAuth | null;
  /** What socket.io hands on to the client, and the status that ws answers. */
  readonly refusal?: Error & { readonly data: { readonly code: string }; readonly status: number };
}

/** Judges the handshakes of sockets, which no guard sees. */
@Injectable()
export class Handshakes {
  constructor(
    private readonly authenticator: RequestAuthenticator,
    private readonly origins: OriginGuard,
  ) {}

  /** See `SessionConnections.authenticate`. The request carries the answer from then on. */
  async authenticate(
    request: AuthRequest,
    { params, allowAnonymous = false }: HandshakeOptions,
  ): Promise<RequestAuth | null> {
    presentToken(request, params);
    this.origins.checkHandshake(request);
    const credentials = this.authenticator.credentialsOf(request, null);
    try {
      // A client that connects again by itself holds its token since before: an outdated one is no sign of theft.
      const auth = credentials && (await this.authenticator.authenticate(credentials, null, { fromHandshake: true }));
      if (!auth && !allowAnonymous) {
        throw new AuthError(
          'UNAUTHENTICATED',
          'Connect with the session cookie or bearer token of a live session.',
          {},
        );
      }
      attachAuth(request, auth);
      return auth;
    } catch (error) {
      if (!allowAnonymous || !isRefusal(error)) throw error;
      attachAuth(request, null);
      return null;
    }
  }

  /** As `authenticate`, for servers that are told of a refusal and catch nothing. */
  async judge(request: AuthRequest, options: HandshakeOptions): Promise<Verdict> {
    try {
      return { auth: await this.authenticate(request, options) };
    } catch (error) {
      const fault = asAuthError(error, 'The handshake');
      const { code } = fault;
      // A client gets the code alone: the message is for whoever runs this.
      return { auth: null, refusal: Object.assign(new Error(code), { data: { code }, status: fault.getStatus() }) };
    }
  }

  sessionOf(request: AuthRequest): Session | null {
    return authOf(request)?.session ?? null;
  }
}
