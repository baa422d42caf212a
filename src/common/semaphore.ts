/** A bounded number at once; the others wait in the order in which they came. */
export class Semaphore {
  private readonly waiting: (() => void)[] = [];
  private acquired = 0;

  constructor(private readonly max: () => number) {}

  /** Resolves when it is the caller's turn, who calls `release` in any case. */
  async acquire(): Promise<void> {
    if (!this.isFull) this.acquired++;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
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
