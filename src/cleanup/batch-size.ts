import type { Duration } from '../common/duration.js';

const FIRST = 500;
const MIN = 50;

/** Adjusts the number of rows in a batch so that it takes about as long as it may, on any machine. */
export class BatchSize {
  /** Starts small, since nothing is known yet. */
  next: number;

  constructor(
    private readonly max: number,
    private readonly maxLockTime: Duration,
  ) {
    this.next = Math.min(FIRST, max);
  }

  /** Adjusts `next` to how long a full batch took. Shrinks in proportion to the overrun; at most doubles. */
  took(duration: Duration): void {
    const factor = Math.min(2, this.maxLockTime / 2 / Math.max(duration, 0.001));
    this.next = Math.min(this.max, Math.max(Math.min(MIN, this.max), Math.floor(this.next * factor)));
  }
}
