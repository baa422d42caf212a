import type { Duration } from './duration.js';

/** A bounded number at once; the others wait in the order in which they came. */
export class Semaphore {
  private waiting: (() => void)[] = [];
  private acquired = 0;

  constructor(private readonly max: () => number) {}

  /**
   * Resolves when it is the caller's turn, who then calls `release` in any case. False, and the caller has no turn, when
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

  /** Nobody has a turn. */
  get isIdle(): boolean {
    return this.acquired === 0;
  }

  /** The next one has to wait. */
  get isFull(): boolean {
    return this.acquired >= this.max();
  }

  /** How many wait. */
  get queued(): number {
    return this.waiting.length;
  }
}
