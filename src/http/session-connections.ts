import { Injectable } from '@nestjs/common';
import { Observable, type MonoTypeOperatorFunction } from 'rxjs';
import type { Session } from '../session/session.js';
import type { HttpRequest, RequestAuth } from './auth-request.js';
import { Handshakes, type HandshakeOptions } from './handshakes.js';
import type { OpenConnection, WebSocketConnection } from './open-connection.js';
import { WatchedConnections } from './watched-connections.js';

/**
 * Ties connections that stay open, sockets and event streams, to their session. A connection is closed when its session
 * is revoked, in whichever process, when its user is disabled or signed out everywhere, and when the session expires or
 * reaches its absolute lifetime (OWASP ASVS 7.4.1, 7.4.2). Handshakes that are anonymous or come from a foreign page
 * are refused before anything is sent.
 *
 * How soon:
 *
 * - With `cache.enabled`, as soon as the change is heard, which takes milliseconds; within `cache.maxStaleness` and a
 *   second if the listening connection breaks silently.
 * - Without it, sessions are read twice per `cache.maxStaleness`, and at once if this process ended them.
 * - An expiry is noticed within a second.
 *
 * A message only causes a session to be read again; what is read decides. While the storage does not answer,
 * connections are closed only at their absolute lifetime.
 *
 * @example
 * ```ts
 * @WebSocketGateway()
 * export class NotesGateway implements OnGatewayInit<Server> {
 *   constructor(private readonly connections: SessionConnections) {}
 *
 *   afterInit(server: Server) {
 *     server.use(this.connections.socketIo());
 *   }
 * }
 * ```
 */
@Injectable()
export class SessionConnections {
  constructor(
    private readonly watched: WatchedConnections,
    private readonly handshakes: Handshakes,
  ) {}

  /**
   * Closes the connection when the session is over, at once if it is over already: socket.io by `disconnect(true)`, ws
   * with code 1008, anything else by calling the function given. Returns a function that stops watching; sockets that
   * close by themselves are forgotten. Does not throw; an outage is logged, and the session is read again later.
   */
  closeWhenRevoked(connection: OpenConnection, session: Session): () => void {
    return this.watched.add(connection, session);
  }

  /**
   * An RxJS operator for `@Sse()` handlers: completes the stream when the session is over, which ends the response. The
   * browser's EventSource then reconnects, is refused, and gives up.
   *
   * @example
   * ```ts
   * @Sse('notes/events')
   * events(@CurrentSession() session: Session) {
   *   return this.notes.events().pipe(this.connections.untilRevoked(session));
   * }
   * ```
   */
  untilRevoked<T>(session: Session): MonoTypeOperatorFunction<T> {
    return (source) =>
      new Observable((subscriber) => {
        subscriber.add(this.closeWhenRevoked(() => subscriber.complete(), session));
        subscriber.add(source.subscribe(subscriber));
      });
  }

  /**
   * The user and session of a handshake, for servers without ready-made support below. `params` is what the client sent
   * outside the headers, since a browser cannot set any: `connectionParams` of graphql-ws, `auth` of socket.io
   * (`{ token }` or `{ authorization: 'Bearer …' }`). With `allowAnonymous` the result is `null` if there is no live
   * session, and of the errors below only the first and the last are thrown.
   *
   * @throws {AuthError} `CROSS_ORIGIN_REQUEST` if a page of another origin opened the connection.
   * @throws {AuthError} `UNAUTHENTICATED` if there is no live session.
   * @throws {AuthError} `INVALID_TOKEN` if a bearer JWT is not valid (a `TokenError`).
   * @throws {AuthError} `TOKEN_REVOKED` if a bearer JWT was ended, by a logout for example.
   * @throws {AuthError} `ACCOUNT_INACTIVE` if the account of a bearer JWT is disabled or deleted.
   * @throws {AuthError} `TOKENS_INVALIDATED` if the user of a bearer JWT has signed out everywhere or changed the
   *   password since.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  authenticate(request: HttpRequest, options?: HandshakeOptions & { allowAnonymous?: false }): Promise<RequestAuth>;
  /**
   * As above, with `allowAnonymous`: `null` if there is no live session.
   *
   * @throws {AuthError} `CROSS_ORIGIN_REQUEST` if a page of another origin opened the connection.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  authenticate(request: HttpRequest, options: HandshakeOptions): Promise<RequestAuth | null>;
  authenticate(request: HttpRequest, options: HandshakeOptions = {}): Promise<RequestAuth | null> {
    return this.handshakes.authenticate(request, options);
  }

  /**
   * Middleware of a socket.io server or namespace (`server.use`): refuses the handshakes that `authenticate` refuses,
   * with the code in the `data` of the client's `connect_error`, and closes the other sockets when their session ends.
   * Never throws.
   */
  socketIo(options: Omit<HandshakeOptions, 'params'> = {}) {
    const judge = async (socket: SocketIoHandshake, next: (error?: Error) => void) => {
      const { request, handshake } = socket;
      const { auth, refusal } = await this.handshakes.judge(request, { ...options, params: handshake.auth });
      if (auth) this.closeWhenRevoked(socket, auth.session);
      next(refusal);
    };
    return (socket: SocketIoHandshake, next: (error?: Error) => void): void => void judge(socket, next);
  }

  /**
   * `verifyClient` of a ws server: answers the handshakes that `authenticate` refuses with 401, 403 or 503. For the
   * others, `sessionOf(request)` is the session to pass to `closeWhenRevoked`. Never throws.
   */
  verifyClient(options: Omit<HandshakeOptions, 'params'> = {}) {
    const judge = async (request: HttpRequest, done: VerifyClientDone) => {
      const { refusal } = await this.handshakes.judge(request, options);
      if (refusal) done(false, refusal.status, refusal.data.code);
      else done(true);
    };
    return ({ req }: { req: HttpRequest }, done: VerifyClientDone): void => void judge(req, done);
  }

  /**
   * `onConnect` of graphql-ws: refuses what `authenticate` refuses (close code 4403; during an outage 4500), and closes
   * the others when their session ends.
   */
  graphqlWs(options: Omit<HandshakeOptions, 'params'> = {}) {
    return async ({ connectionParams, extra }: GraphqlWsConnection): Promise<boolean> => {
      const { socket, request } = extra as { socket: WebSocketConnection; request: HttpRequest };
      const { auth, refusal } = await this.handshakes.judge(request, { ...options, params: connectionParams });
      if (refusal && refusal.status >= 500) throw refusal;
      if (auth) this.closeWhenRevoked(socket, auth.session);
      return refusal === undefined;
    };
  }

  /** The session of a handshake that was authenticated, or `null`. */
  sessionOf(request: HttpRequest): Session | null {
    return this.handshakes.sessionOf(request);
  }

  /** The number of open connections that are watched, and of the sessions they belong to. */
  get size(): { connections: number; sessions: number } {
    return this.watched.size;
  }
}

/** The parts of a socket.io `Socket` that are used during its handshake. */
export interface SocketIoHandshake {
  readonly request: HttpRequest;
  readonly handshake: { readonly auth: unknown };
  disconnect(close?: boolean): unknown;
  readonly conn: { close(): unknown; once(event: 'close', listener: () => void): unknown };
}

/** The parts of the graphql-ws context that are used; `extra` holds the socket and the request. */
export interface GraphqlWsConnection {
  readonly connectionParams?: unknown;
  readonly extra: unknown;
}

/** The callback that ws passes to `verifyClient`. */
export type VerifyClientDone = (verified: boolean, status?: number, message?: string) => void;
