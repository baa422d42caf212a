import { Clock } from '../common/clock.js';
import type { Duration } from '../common/duration.js';

/**
 * A clock that stands still until you move it. Default: 2025-01-01T00:00:00Z.
 *
 * @example
 * ```ts
 * const clock = new FrozenClock();
 * Test.createTestingModule({ imports: [AppModule] }).overrideProvider(Clock).useValue(clock);
 * clock.advance(days(31));
 * ```
 */
export class FrozenClock extends Clock {
  private instant: number;

  constructor(instant: number | Date | string = Date.UTC(2025, 0, 1)) {
    super();
    this.instant = FrozenClock.parse(instant);
  }

  now(): number {
    return this.instant;
  }

  /** Moves the clock forward by this many milliseconds, in steps of a microsecond (0.001) or more. */
  advance(by: Duration): void {
    this.instant += by;
  }

  set(instant: number | Date | string): void {
    this.instant = FrozenClock.parse(instant);
  }

  private static parse(instant: number | Date | string): number {
    const parsed = typeof instant === 'number' ? instant : new Date(instant).getTime();
    if (!Number.isFinite(parsed)) throw new TypeError(`Not an instant: ${String(instant)}`);
    return parsed;
  }
}
