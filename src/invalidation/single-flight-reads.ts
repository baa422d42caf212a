import type { InvalidationChannel } from './invalidation-channel.js';

interface Flight<Value> {
  readonly found: Promise<Value | null>;
  stale: boolean;
  /** Whose values were invalidated meanwhile; whose this one is shows when it arrives. */
  readonly changedOwners: Set<string>;
}

/**
 * Reads on their way into a cache. Who asks for the same key meanwhile shares the read, and what was invalidated while
 * it was under way is not kept: a lookup that overtakes a revocation must not put the dead row back.
 */
export class SingleFlightReads<Value> {
  private readonly flights = new Map<string, Flight<Value>>();

  /** `ownerOf` names what `forgetOwner` forgets a value by. */
  constructor(
    private readonly channel: InvalidationChannel,
    private readonly ownerOf: (value: Value) => string,
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
      // It may have been read before the change that this caller has come after.
      return this.isStale(shared, found) ? this.read(key, load, keep) : found;
    }
    const flight: Flight<Value> = { found: load(), stale: false, changedOwners: new Set() };
    this.flights.set(key, flight);
    try {
      const found = await flight.found;
      if (found !== null && !this.isStale(flight, found) && this.channel.isCurrent) keep(found);
      return found;
    } finally {
      if (this.flights.get(key) === flight) this.flights.delete(key);
    }
  }

  forget(key: string): void {
    const flight = this.flights.get(key);
    if (!flight) return;
    flight.stale = true;
    this.flights.delete(key);
  }

  forgetOwner(owner: string): void {
    for (const flight of this.flights.values()) flight.changedOwners.add(owner);
  }

  forgetAll(): void {
    for (const key of this.flights.keys()) this.forget(key);
  }

  private isStale({ stale, changedOwners }: Flight<Value>, found: Value | null): boolean {
    if (stale || changedOwners.size === 0) return stale;
    return found === null || changedOwners.has(this.ownerOf(found));
  }
}
