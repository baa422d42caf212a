import type { InvalidationChannel } from './invalidation-channel.js';

interface Flight<Value> {
  readonly found: Promise<Value | null>;
  stale: boolean;
  /** What was invalidated during the read; whether the value is affected shows when it arrives. */
  readonly changed: Set<string>;
}

/**
 * Reads on their way into a cache. Concurrent callers for the same key share a read, and a value that was invalidated
 * during its read is not kept: a lookup that overlaps with a revocation must not put the dead row back.
 */
export class SingleFlightReads<Value> {
  private readonly flights = new Map<string, Flight<Value>>();

  /** `digestsOf` returns the names by which `forget` names a value. */
  constructor(
    private readonly channel: InvalidationChannel,
    private readonly digestsOf: (value: Value) => readonly string[],
  ) {}

  /**
   * Calls `load` once for all concurrent callers, and `keep` if the value was not invalidated meanwhile. A missing
   * value is `null` and never kept.
   */
  async read(key: string, load: () => Promise<Value | null>, keep: (value: Value) => void): Promise<Value | null> {
    if (!this.channel.isCurrent) return load();
    const shared = this.flights.get(key);
    if (shared) {
      const found = await shared.found;
      // It may have been read before a change that this caller already knows of.
      return this.isStale(shared, found) ? this.read(key, load, keep) : found;
    }
    const flight: Flight<Value> = { found: load(), stale: false, changed: new Set() };
    this.flights.set(key, flight);
    try {
      const found = await flight.found;
      if (found !== null && !this.isStale(flight, found) && this.channel.isCurrent) keep(found);
      return found;
    } finally {
      if (this.flights.get(key) === flight) this.flights.delete(key);
    }
  }

  forget(digests: readonly string[]): void {
    for (const { changed } of this.flights.values()) for (const digest of digests) changed.add(digest);
  }

  forgetAll(): void {
    for (const flight of this.flights.values()) flight.stale = true;
    this.flights.clear();
  }

  private isStale({ stale, changed }: Flight<Value>, found: Value | null): boolean {
    if (stale || changed.size === 0) return stale;
    return found === null || this.digestsOf(found).some((digest) => changed.has(digest));
  }
}
