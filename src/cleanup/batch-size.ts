import type { Duration } from '../common/duration.js';

const FIRST = 500;
const MIN = 50;

/** How many rows to take next, so that a batch takes about as long as it may, on whatever machine. */
export class BatchSize {
  /** Begins small: nothing is known yet. */
  next: number;

  constructor(
    private readonly max: number,
    private readonly maxLockTime: Duration,
  ) {
    this.next = Math.min(FIRST, max);
  }

  /** What a full batch of `next` rows took. Down at once by as much as it was too long, up by at most the double. */
  took(duration: Duration): void {
    const factor = Math.min(2, this.maxLockTime / 2 / Math.max(duration, 0.001));
    this.next = Math.min(this.max, Math.max(Math.min(MIN, this.max), Math.floor(this.next * factor)));
  }
}
