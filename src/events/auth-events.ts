import { Injectable, Logger, Optional } from '@nestjs/common';
import { PreparedStatements } from '../postgres/prepared-statements.js';
import type { AuthEvent } from './auth-event.js';

/** Called with each event. The event is frozen, and shared with the other listeners. */
export type AuthEventListener = (event: AuthEvent) => void | Promise<void>;

/**
 * What happens to logins, sessions, tokens and limits, for your application to act on: mail the account's owner, write
 * a log. Each event is emitted once, in the process that decided it, after the decision: within an `AuthTransaction`
 * after the commit, and not at all after a rollback. No event contains a token, a hash or a secret. Without listeners
 * it costs nothing.
 *
 * @example
 * ```ts
 * @Injectable()
 * export class StolenSessions implements OnModuleInit {
 *   private readonly logger = new Logger('Security');
 *
 *   constructor(private readonly events: AuthEvents) {}
 *
 *   onModuleInit() {
 *     this.events.on((event) => {
 *       if (event.type === 'session.reuse_detected') this.logger.warn(`Somebody has a token of user ${event.userId}.`);
 *     });
 *   }
 * }
 * ```
 */
@Injectable()
export class AuthEvents {
  private readonly listeners = new Map<symbol, AuthEventListener>();
  private readonly logger = new Logger('Auth');

  constructor(@Optional() private readonly statements?: PreparedStatements) {}

  /**
   * Calls `listener` with every event from now on, until the returned function is called. The listener is not awaited;
   * if it throws or rejects, that is logged and affects neither the request nor the other listeners.
   */
  on(listener: AuthEventListener): () => void {
    const registration = Symbol();
    this.listeners.set(registration, listener);
    return () => void this.listeners.delete(registration);
  }

  /**
   * Emits the event now. For this module, and for a login of your own that uses neither `LoginService` nor
   * `HttpSessions` (`login.succeeded`, `login.failed`, `logout`). Never throws.
   */
  emit(event: AuthEvent): void {
    if (this.listeners.size === 0) return;
    Object.freeze(event);
    // A copy: a listener that is added meanwhile must not get the same event.
    Array.from(this.listeners.values()).forEach((listener) => void this.emitTo(listener, event));
  }

  /**
   * Emits an event about a change to the database once the change is final: after the open transaction, unless that is
   * rolled back; without one, now. Never throws.
   */
  emitAfterTransaction(event: AuthEvent): void {
    if (this.listeners.size === 0) return;
    if (!this.statements) return this.emit(event);
    // If the outcome is unknown it is emitted: better one event too many than an ended session that nobody heard of.
    this.statements.afterTransaction((outcome) => {
      if (outcome !== 'undone') this.emit(event);
    });
  }

  private async emitTo(listener: AuthEventListener, event: AuthEvent): Promise<void> {
    try {
      await listener(event);
    } catch (error) {
      // Not its message, which comes from the application and may contain anything.
      const { name, stack = '' } = error instanceof Error ? error : new Error();
      const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
      this.logger.error(`A listener of ${event.type} failed: ${name}`, frames.join('\n'));
    }
  }
}
