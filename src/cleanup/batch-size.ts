import type { Duration } from '../common/duration.js';

const FIRST = 500;
const LEAST = 50;

/** How many rows to take next, so that a batch takes about as long as it may, on whatever machine. */
export class BatchSize {
  /** Begins small: nothing is known yet. */
  next: number;

  constructor(
    private readonly most: number,
    private readonly longest: Duration,
  ) {
    this.next = Math.min(FIRST, most);
  }

  /** What a full batch of `next` rows took. Down at once by as much as it was too long, up by at most the double. */
  took(duration: Duration): void {
    const factor = Math.min(2, this.longest / 2 / Math.max(duration, 0.001));
    this.next = Math.min(this.most, Math.max(Math.min(LEAST, this.most), Math.floor(this.next * factor)));
  }
}
