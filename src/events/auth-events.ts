import { Injectable, Logger } from '@nestjs/common';

/** Something an operator or an account's owner wants to know of. Told apart by `type`; more types may come. */
export type AuthEvent = SessionReuseDetected;

/**
 * A session token was presented that had been rotated and whose grace was over: somebody has a copy of it. Every session
 * that it led to has ended.
 */
export interface SessionReuseDetected {
  readonly type: 'session.reuse_detected';
  /** Epoch ms. */
  readonly at: number;
  readonly userId: string;
  /** Public name of the session that has ended. */
  readonly handle: string;
}

export type AuthEventListener = (event: AuthEvent) => void | Promise<void>;

/**
 * What happens to sessions, for the host to act on: mail the owner, write an audit log. Each event is told once, in the
 * process where it happened. None holds a token, a hash or a secret.
 */
@Injectable()
export class AuthEvents {
  private readonly listeners = new Map<symbol, AuthEventListener>();
  private readonly logger = new Logger('Auth');

  /**
   * Calls `listener` with every event from now on, until the function that this returns is called. Nobody waits for
   * it: one that throws or rejects is logged, and harms neither the request nor the other listeners.
   */
  on(listener: AuthEventListener): () => void {
    const registration = Symbol();
    this.listeners.set(registration, listener);
    return () => void this.listeners.delete(registration);
  }

  /** @internal */
  emit(event: AuthEvent): void {
    Object.freeze(event);
    // A copy: a listener that adds one must not have it told of the same event.
    Array.from(this.listeners.values()).forEach((listener) => void this.tell(listener, event));
  }

  private async tell(listener: AuthEventListener, event: AuthEvent): Promise<void> {
    try {
      await listener(event);
    } catch (error) {
      // Not its message: that is the host's, and may hold anything.
      const { name, stack = '' } = error instanceof Error ? error : new Error();
      const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
      this.logger.error(`A listener of ${event.type} failed: ${name}`, frames.join('\n'));
    }
  }
}
