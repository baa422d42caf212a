/**
 * The only source of time. Everything that compares or stores an instant reads it, so that a test can stop it.
 *
 * Units: epoch **milliseconds** as a float; the digits after the point are microseconds, which a JWT's NumericDate and
 * PostgreSQL's `timestamptz` both keep and a JavaScript `Date` loses.
 *
 * @example
 * ```ts
 * @Injectable()
 * export class Trials {
 *   constructor(private readonly clock: Clock) {}
 *
 *   hasEnded(startedAt: number): boolean {
 *     return this.clock.now() >= startedAt + days(14);
 *   }
 * }
 * ```
 */
export abstract class Clock {
  /**
   * Whether this is the time of day, so that it differs from the storage's clock only by an error of this machine. The
   * grace of a rotation and the windows of rate limits are then measured by the storage's clock alone, and do not depend
   * on that error. Default false, which is right for a clock that a test moves: instants of this clock are compared with
   * each other.
   */
  readonly isWallClock: boolean = false;

  /** Epoch milliseconds, with microseconds after the point. */
  abstract now(): number;
}

/**
 * The machine's clock. It follows wall-clock corrections (NTP) like `Date.now()`, and adds the microseconds that have
 * passed inside the current millisecond, so that two events of one process in the same millisecond keep their order.
 */
export class SystemClock extends Clock {
  override readonly isWallClock: boolean = true;
  private millisecond = 0;
  private enteredAt = 0;

  now(): number {
    const millisecond = Date.now();
    const ticks = performance.now();
    if (millisecond !== this.millisecond) {
      this.millisecond = millisecond;
      this.enteredAt = ticks;
    }
    return millisecond + Math.min(Math.floor((ticks - this.enteredAt) * 1000), 999) / 1000;
  }
}
