import type { Duration } from './duration.js';

/** Lets a bounded number of callers proceed at once; the others wait in order of arrival. */
export class Semaphore {
  private waiting: (() => void)[] = [];
  private acquired = 0;

  constructor(private readonly max: () => number) {}

  /**
   * Resolves to true when it is the caller's turn, who must then call `release`. Resolves to false, without a turn, if
   * that takes longer than `timeout`.
   */
  async acquire(timeout?: Duration): Promise<boolean> {
    if (!this.isFull) {
      this.acquired++;
      return true;
    }
    return new Promise<boolean>((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const turn = () => {
        clearTimeout(timer);
        resolve(true);
      };
      this.waiting.push(turn);
      if (timeout === undefined) return;
      timer = setTimeout(() => {
        this.waiting = this.waiting.filter((other) => other !== turn);
        resolve(false);
      }, timeout);
    });
  }

  release(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.acquired--;
  }

  /** No caller has a turn. */
  get isIdle(): boolean {
    return this.acquired === 0;
  }

  /** The next caller has to wait. */
  get isFull(): boolean {
    return this.acquired >= this.max();
  }

  /** The number of waiting callers. */
  get queued(): number {
    return this.waiting.length;
  }
}
