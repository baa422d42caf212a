import type { InvalidationChannel } from './invalidation-channel.js';

interface Flight<Value> {
  readonly found: Promise<Value | null>;
  stale: boolean;
}

/**
 * Reads on their way into a cache. Who asks for the same key meanwhile shares the read, and what was invalidated while
 * it was under way is not kept: a lookup that overtakes a revocation must not put the dead row back.
 */
export class CoherentReads<Value> {
  private readonly flights = new Map<string, Flight<Value>>();

  constructor(private readonly channel: InvalidationChannel) {}

  /** `load`s once for all who ask meanwhile; `keep`s what nobody has invalidated. Missing is `null`, and never kept. */
  async read(key: string, load: () => Promise<Value | null>, keep: (value: Value) => void): Promise<Value | null> {
    if (!this.channel.isCurrent) return load();
    const shared = this.flights.get(key);
    if (shared) {
      const found = await shared.found;
      // It may have been read before the change that this caller has come after.
      return shared.stale ? this.read(key, load, keep) : found;
    }
    const flight: Flight<Value> = { found: load(), stale: false };
    this.flights.set(key, flight);
    try {
      const found = await flight.found;
      if (found !== null && !flight.stale && this.channel.isCurrent) keep(found);
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

  forgetAll(): void {
    for (const key of this.flights.keys()) this.forget(key);
  }
}
