/** A bounded number at once; the others wait in the order in which they came. */
export class Semaphore {
  private readonly waiting: (() => void)[] = [];
  private running = 0;

  constructor(private readonly most: () => number) {}

  /** Resolves when it is the caller's turn, who gives it back in any case. */
  async take(): Promise<void> {
    if (this.running < this.most()) this.running++;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /** Nobody has a turn. */
  get isIdle(): boolean {
    return this.running === 0;
  }

  giveBack(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.running--;
  }
}
