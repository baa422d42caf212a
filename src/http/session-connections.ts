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
  /** Epoch ms: when it is over, unless it is extended elsewhere. */
  endsAt: number;
}

/** Sessions that are read at the same time. */
const MAX_READS = 8;
/** Milliseconds, at most: expiries are looked for so often, and everything is read again no more often. */
const MAX_PACE = 1_000;
/** Where changes of other processes are not heard, everything is read so often in `cache.maxStaleness`. */
const READS_PER_BOUND = 2;

/**
 * Connections that stay open: sockets and event streams. Each ends with its session: when that is revoked, in whichever
 * process, when its user is disabled or signed out everywhere, at its expiry and its absolute lifetime (OWASP ASVS 7.4.1,
 * 7.4.2). And a handshake is refused before anything is sent: anonymous ones, and those of a foreign page.
 *
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
 *
 * How soon: with `cache.enabled` when the change is heard, which takes milliseconds, and within `cache.maxStaleness` and a
 * second when the connection that hears breaks silently. Without, sessions are read every half of `cache.maxStaleness`,
 * and at once where this process has ended them. An expiry is noticed within a second. What is heard makes a session be
 * read again, and only what is read closes a connection; while the storage is away none is closed but by its absolute
 * lifetime.
 */
@Injectable()
export class SessionConnections implements OnApplicationShutdown {
  private readonly logger = new Logger('Auth');
  private readonly watched = new Map<string, Watched>();
  private readonly byDigest = new Map<string, Watched>();
  private readonly byOwner = new Map<string, Set<Watched>>();
  /** To be read; in the order in which it was heard of. */
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
    // What this process decides is known here, whether or not there is a channel.
    events.on((event) => {
      const { userId } = event as { userId?: string | null };
      if (this.watched.size > 0 && ENDING.has(event.type) && userId) this.readAgainByOwner(this.ownerDigest(userId));
    });
  }

  /**
   * Closes the connection when the session is over, also when that is so already: socket.io by `disconnect(true)`, ws with
   * the code 1008, anything else by the function given. Returns a function that stops watching; sockets are let go by
   * themselves when they close.
   */
  closeWhenRevoked(connection: OpenConnection, session: Session): () => void {
    const watched = this.watched.get(session.id) ?? this.watch(session);
    watched.connections.add(connection);
    const stop = () => this.letGo(watched, connection);
    onClosed(connection, stop);
    // It may have ended since it was looked up, before anybody listened for it.
    this.readAgain(watched);
    this.schedule();
    return stop;
  }

  /**
   * For `@Sse()` handlers: completes the stream when the session is over, which ends the response. A browser's
   * EventSource connects again, is refused, and gives up.
   *
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
   * Whose handshake this is; `params` is what the client sent beside the headers, since a browser can set none:
   * `connectionParams` of graphql-ws, `auth` of socket.io (`{ token }` or `{ authorization: 'Bearer …' }`). Throws
   * `CROSS_ORIGIN_REQUEST` for a page of another origin, `UNAUTHENTICATED` or the reason of a JWT for who has no live
   * session, and `STORE_UNAVAILABLE`. With `allowAnonymous` nobody is `null`.
   */
  authenticate(request: HttpRequest, options?: HandshakeOptions & { allowAnonymous?: false }): Promise<RequestAuth>;
  authenticate(request: HttpRequest, options: HandshakeOptions): Promise<RequestAuth | null>;
  authenticate(request: HttpRequest, options: HandshakeOptions = {}): Promise<RequestAuth | null> {
    return this.handshakes.authenticate(request, options);
  }

  /**
   * Middleware of a socket.io server or namespace (`server.use`): refuses the handshakes that `authenticate` refuses, with
   * the code in the `data` of the client's `connect_error`, and closes the others with their session.
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
   * `verifyClient` of a ws server: answers the handshakes that `authenticate` refuses with 401, 403 or 503. For the others
   * `sessionOf(request)` is the session to close the socket with.
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
   * `onConnect` of graphql-ws: refuses what `authenticate` refuses (4403; a fault 4500) and closes the others with their
   * session.
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

  /** Open connections, and the sessions that they belong to. */
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

  /** Whoever may notify can say "everything", as often as they like. */
  private readAllAgain(): void {
    const now = performance.now();
    this.isAllDue = now - this.allReadAt < this.pace;
    if (this.isAllDue) return;
    this.allReadAt = now;
    for (const watched of this.watched.values()) this.readAgain(watched);
  }

  private readAgain(watched: Watched): void {
    this.due.add(watched);
    // Whoever listens to the same message must have forgotten what it knows before.
    if (this.reading < MAX_READS) queueMicrotask(() => void this.read());
  }

  private async read(): Promise<void> {
    if (this.reading >= MAX_READS) return;
    this.reading++;
    for (const watched of this.due) {
      // One that is heard of from now on is read once more.
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
      // An outage is no logout. What is over in any case ends all the same, and the rest is read with the next tick.
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
        // The others must close all the same.
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

/** What is used of a `Socket` of socket.io in its handshake. */
export interface SocketIoHandshake {
  readonly request: HttpRequest;
  readonly handshake: { readonly auth: unknown };
  disconnect(close?: boolean): unknown;
  readonly conn: { close(): unknown; once(event: 'close', listener: () => void): unknown };
}

/** What is used of the context of graphql-ws; `extra` holds the socket and the request. */
export interface GraphqlWsConnection {
  readonly connectionParams?: unknown;
  readonly extra: unknown;
}

/** What ws calls back. */
export type VerifyClientDone = (verified: boolean, status?: number, message?: string) => void;

const ENDING = new Set(['session.revoked', 'session.rotated', 'session.reuse_detected', 'logout']);
