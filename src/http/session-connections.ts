import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Observable, type MonoTypeOperatorFunction } from 'rxjs';
import { Clock } from '../common/clock.js';
import type { Duration } from '../common/duration.js';
import { AuthConfig } from '../config/auth-config.js';
import { AuthEvents } from '../events/auth-events.js';
import { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import type { InvalidationHint } from '../invalidation/invalidation.js';
import { isSelfContained, type Session } from '../session/session.js';
import type { RequestAuth } from './auth-request.js';
import { Handshakes, type HandshakeOptions } from './handshakes.js';
import type { HttpRequest } from './http-sessions.js';
import { close, onClosed, type OpenConnection, type WebSocketConnection } from './open-connection.js';
import { SessionLiveness } from './session-liveness.js';

interface Watched {
  readonly session: Session;
  readonly digest: string;
  readonly owner: string;
  readonly connections: Set<OpenConnection>;
  /** Epoch ms: when the session is over, unless it is extended elsewhere. */
  endsAt: number;
}

/** The most sessions that are read at the same time. */
const MAX_READS = 8;
/** Milliseconds, at most, between two searches for expired sessions; everything is read again no more often. */
const MAX_PACE = 1_000;
/** How often everything is read within `cache.maxStaleness` if the changes of other processes are not heard. */
const READS_PER_BOUND = 2;

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
export class SessionConnections implements OnApplicationShutdown {
  private readonly logger = new Logger('Auth');
  private readonly watched = new Map<string, Watched>();
  private readonly byDigest = new Map<string, Watched>();
  private readonly byOwner = new Map<string, Set<Watched>>();
  /** To be read, in the order in which messages named them. */
  private readonly due = new Set<Watched>();
  private reading = 0;
  private isAllDue = false;
  private allReadAt = Number.NEGATIVE_INFINITY;
  private readonly patience: Duration;
  private readonly pace: Duration;
  private timer: NodeJS.Timeout | undefined;
  private failed = false;

  constructor(
    private readonly liveness: SessionLiveness,
    private readonly handshakes: Handshakes,
    private readonly channel: InvalidationChannel,
    private readonly clock: Clock,
    config: AuthConfig,
    events: AuthEvents,
  ) {
    this.patience = config.cache.maxStaleness / READS_PER_BOUND;
    this.pace = Math.min(MAX_PACE, this.patience);
    channel.subscribe((hint) => this.hear(hint));
    // Changes made by this process, which are known even without a channel.
    events.on((event) => {
      const { userId } = event as { userId?: string | null };
      if (this.watched.size > 0 && ENDING.has(event.type) && userId) this.readAgainByOwner(this.ownerDigest(userId));
    });
  }

  /**
   * Closes the connection when the session is over, at once if it is over already: socket.io by `disconnect(true)`, ws
   * with code 1008, anything else by calling the function given. Returns a function that stops watching; sockets that
   * close by themselves are forgotten. Does not throw; an outage is logged, and the session is read again later.
   */
  closeWhenRevoked(connection: OpenConnection, session: Session): () => void {
    const watched = this.watched.get(session.id) ?? this.watch(session);
    watched.connections.add(connection);
    const stop = () => this.letGo(watched, connection);
    onClosed(connection, stop);
    // It may have ended between its lookup and this call.
    this.readAgain(watched);
    this.schedule();
    return stop;
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
    let connections = 0;
    for (const watched of this.watched.values()) connections += watched.connections.size;
    return { connections, sessions: this.watched.size };
  }

  onApplicationShutdown(): void {
    clearTimeout(this.timer);
    for (const watched of Array.from(this.watched.values())) this.forget(watched);
  }

  private watch(session: Session): Watched {
    const digest = this.channel.digest(isSelfContained(session) ? 'tokens' : 'sessions', session.id);
    const owner = this.ownerDigest(session.userId);
    const endsAt = Math.min(session.expiresAt, session.absoluteExpiresAt);
    const watched: Watched = { session, digest, owner, connections: new Set(), endsAt };
    this.watched.set(session.id, watched);
    this.byDigest.set(digest, watched);
    const others = this.byOwner.get(owner);
    if (others) others.add(watched);
    else this.byOwner.set(owner, new Set([watched]));
    return watched;
  }

  private letGo(watched: Watched, connection: OpenConnection): void {
    if (watched.connections.delete(connection) && watched.connections.size === 0) this.forget(watched);
  }

  private forget(watched: Watched): void {
    const { session, digest, owner } = watched;
    this.due.delete(watched);
    if (this.watched.get(session.id) !== watched) return;
    this.watched.delete(session.id);
    this.byDigest.delete(digest);
    const others = this.byOwner.get(owner);
    others?.delete(watched);
    if (others?.size === 0) this.byOwner.delete(owner);
  }

  private ownerDigest(userId: string): string {
    return this.channel.digest('users', userId);
  }

  private hear({ sessions = [], users = [], tokens = [] }: InvalidationHint): void {
    if (this.watched.size === 0) return;
    if (sessions === '*' || users === '*' || tokens === '*') return this.readAllAgain();
    for (const digest of [...sessions, ...tokens]) {
      const watched = this.byDigest.get(digest);
      if (watched) this.readAgain(watched);
    }
    for (const digest of users) this.readAgainByOwner(digest);
  }

  private readAgainByOwner(digest: string): void {
    for (const watched of this.byOwner.get(digest) ?? []) this.readAgain(watched);
  }

  /** Paced, since whoever may publish can name everything as often as they like. */
  private readAllAgain(): void {
    const now = performance.now();
    this.isAllDue = now - this.allReadAt < this.pace;
    if (this.isAllDue) return;
    this.allReadAt = now;
    for (const watched of this.watched.values()) this.readAgain(watched);
  }

  private readAgain(watched: Watched): void {
    this.due.add(watched);
    // Only after the other listeners to the same message have emptied their caches.
    if (this.reading < MAX_READS) queueMicrotask(() => void this.read());
  }

  private async read(): Promise<void> {
    if (this.reading >= MAX_READS) return;
    this.reading++;
    for (const watched of this.due) {
      // A message from now on causes another read.
      this.due.delete(watched);
      await this.check(watched);
    }
    this.reading--;
  }

  private async check(watched: Watched): Promise<void> {
    try {
      const endsAt = await this.liveness.endOf(watched.session);
      this.failed = false;
      if (endsAt === null) this.end(watched);
      else watched.endsAt = endsAt;
    } catch (error) {
      // An outage is not a logout. Sessions past their absolute lifetime end anyway; the others are read at the next
      // tick.
      if (this.clock.now() >= watched.session.absoluteExpiresAt) return this.end(watched);
      this.isAllDue = true;
      if (!this.failed) this.logger.warn(`Open connections go on without a check: ${(error as Error).message}`);
      this.failed = true;
    }
  }

  private end(watched: Watched): void {
    this.forget(watched);
    for (const connection of watched.connections) {
      try {
        close(connection);
      } catch (error) {
        // The other connections must still be closed.
        this.logger.error(error);
      }
    }
    watched.connections.clear();
  }

  private schedule(): void {
    this.timer ??= setTimeout(() => this.tick(), this.pace).unref();
  }

  private tick(): void {
    this.timer = undefined;
    if (this.watched.size === 0) return;
    const now = this.clock.now();
    for (const watched of this.watched.values()) if (watched.endsAt <= now) this.readAgain(watched);
    const hearsAll = this.channel.hearsEveryProcess && this.channel.isCurrent && !this.channel.mayLoseMessages;
    const isOld = performance.now() - this.allReadAt >= this.patience;
    if (this.isAllDue || (!hearsAll && isOld)) this.readAllAgain();
    this.schedule();
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

const ENDING = new Set(['session.revoked', 'session.rotated', 'session.reuse_detected', 'logout']);
