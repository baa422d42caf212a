/**
 * Lets a bounded number of callers proceed at once and a bounded number wait, shared fairly by source: sources take
 * turns, and when all places are taken, the one with the most gives up its newest. So a source, however much it asks
 * for, leaves room for the others, and alone it may have everything (fair queueing with longest-queue drop).
 *
 * A source is a path from wide to narrow, such as network and address: places are shared among the networks, and those
 * of a network among its addresses.
 */
export class FairSemaphore {
  private readonly root = new Line();
  private acquired = 0;

  constructor(
    private readonly max: number,
    /** The maximum number of waiting callers. */
    private readonly places: number,
  ) {}

  /**
   * Resolves to true when it is the caller's turn, who must then call `release`; to false if there is no place for it.
   */
  async acquire(source: readonly string[]): Promise<boolean> {
    if (this.acquired < this.max) {
      this.acquired++;
      return true;
    }
    return new Promise<boolean>((resolve) => {
      this.root.add(source, resolve);
      if (this.root.size > this.places) this.root.dropNewestOfLongest(source)(false);
    });
  }

  release(): void {
    const next = this.root.takeNext();
    if (next) next(true);
    else this.acquired--;
  }

  /** The number of waiting callers. */
  get queued(): number {
    return this.root.size;
  }
}

type Turn = (isTheirs: boolean) => void;

/**
 * The waiting callers: below a source, the sources within it in the order of their turns; below the narrowest, the
 * turns.
 */
class Line {
  size = 0;
  private readonly within = new Map<string, Line>();
  private readonly turns: Turn[] = [];

  add([source, ...narrower]: readonly string[], turn: Turn): void {
    this.size++;
    if (source === undefined) return void this.turns.push(turn);
    let line = this.within.get(source);
    if (!line) this.within.set(source, (line = new Line()));
    line.add(narrower, turn);
  }

  takeNext(): Turn | undefined {
    if (this.size === 0) return undefined;
    this.size--;
    const [first] = this.within;
    if (!first) return this.turns.shift();
    const [source, line] = first;
    const turn = line.takeNext();
    // Moves to the end: the others come first now.
    this.within.delete(source);
    if (line.size > 0) this.within.set(source, line);
    return turn;
  }

  /** Among equals, the newcomer gives way. */
  dropNewestOfLongest([source = '', ...narrower]: readonly string[]): Turn {
    this.size--;
    let longest = this.within.get(source);
    let name = source;
    for (const [other, line] of this.within) if (line.size > (longest?.size ?? 0)) [name, longest] = [other, line];
    if (!longest) return this.turns.pop()!;
    const turn = longest.dropNewestOfLongest(name === source ? narrower : []);
    if (longest.size === 0) this.within.delete(name);
    return turn;
  }
}
