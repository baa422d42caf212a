import { AuthError } from '../auth.errors.js';
import type { Duration } from '../common/duration.js';
import { Semaphore } from '../common/semaphore.js';

/** How many statements may wait for the same lock at once: enough that one is always on its way. */
const MAX_WAITING = 2;

/** One queue for each lock that statements of this process may wait for. Callers waiting here hold no connection. */
export class LockQueues {
  private readonly queues = new Map<string, Semaphore>();

  constructor(private readonly timeout: Duration) {}

  /** Throws `STORE_UNAVAILABLE`, without having called `work`, if its turn does not come in time. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    let queue = this.queues.get(key);
    if (!queue) this.queues.set(key, (queue = new Semaphore(() => MAX_WAITING)));
    if (!(await queue.acquire(this.timeout))) throw tooManyAtOnce(`lock of ${key}`, this.timeout);
    try {
      return await work();
    } finally {
      queue.release();
      if (queue.isIdle) this.queues.delete(key);
    }
  }
}

export function tooManyAtOnce(part: string, timeout: Duration): AuthError {
  return new AuthError(
    'STORE_UNAVAILABLE',
    `Others that wait for the same have not been answered within ${timeout} ms. Something holds a lock, or the database is slow.`,
    { part },
  );
}
