import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import type { Duration } from '../common/duration.js';
import { AuthConfig } from '../config/auth-config.js';
import { AuthEvents } from '../events/auth-events.js';
import { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import type { InvalidationHint } from '../invalidation/invalidation.js';
import { isSelfContained, type Session } from '../session/session.js';
import { close, onClosed, type OpenConnection } from './open-connection.js';
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

/** The open connections, by their session: it is read again when it may have ended, and they are closed when it has. */
@Injectable()
export class WatchedConnections implements OnApplicationShutdown {
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

  /** Closes the connection when the session is over. Returns a function that stops watching. */
  add(connection: OpenConnection, session: Session): () => void {
    const watched = this.watched.get(session.id) ?? this.watch(session);
    watched.connections.add(connection);
    const stop = () => this.letGo(watched, connection);
    onClosed(connection, stop);
    // It may have ended between its lookup and this call.
    this.readAgain(watched);
    this.schedule();
    return stop;
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

const ENDING = new Set(['session.revoked', 'session.rotated', 'session.reuse_detected', 'logout']);
