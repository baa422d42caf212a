/** Name and meaning of every metric. Attributes have few values: never a user, a subject or a token. */
const COUNTERS = {
  'latchkey.session.lookups':
    'Lookups of sessions: hit (answered from memory), miss (read), none (no such session), error',
  'latchkey.session.changes':
    'Sessions created, imported (with the source), rotated, extended, or revoked (with the reason)',
  'latchkey.logins': 'Logins: succeeded, or failed with the reason',
  'latchkey.rate_limit.reached': 'Subjects that reached a rate limit, by event; each counted once until the limit ends',
  'latchkey.ephemeral_tokens': 'Single-use tokens, by type: consumed or refused',
  'latchkey.second_factors': 'Second factors, by method: added, removed, used, refused or disabled',
  'latchkey.mails': 'Mails, by kind: sent, or failed with the reason',
  'latchkey.events': 'Events of AuthEvents, by type',
} as const;

const GAUGES = {
  'latchkey.invalidation.current':
    '1 while revocations by other processes are received and the cache may answer, else 0',
  'latchkey.mail.waiting': 'Mails that wait in this process to be sent',
  'latchkey.cache.size': 'Sessions in the memory of this process',
} as const;

export type CounterName = keyof typeof COUNTERS;
export type GaugeName = keyof typeof GAUGES;
export type Attributes = Readonly<Record<string, string>>;

/** The part of `@opentelemetry/api` that is used here; importing its types would make every application install it. */
interface Meter {
  createCounter(name: string, options: object): { add(value: number, attributes?: Attributes): void };
  createHistogram(name: string, options: object): { record(value: number, attributes?: Attributes): void };
  createObservableGauge(name: string, options: object): Observable;
}
interface Observable {
  addCallback(callback: (result: { observe(value: number): void }) => void): void;
  removeCallback(callback: (result: { observe(value: number): void }) => void): void;
}
export interface OpenTelemetry {
  readonly metrics: { getMeter(name: string): Meter };
  createNoopMeter(): Meter;
}

/** In milliseconds; the usual statement takes less than one. */
const BOUNDARIES = [0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000];

/**
 * This module's metrics. It never throws and never waits. Without the package `@opentelemetry/api`, or with it and no
 * SDK registered when AuthModule starts, `isOn` is false, nothing is recorded and nothing is measured.
 */
export class AuthMetrics {
  private readonly counters: ReadonlyMap<string, ReturnType<Meter['createCounter']>>;
  private readonly durations: ReturnType<Meter['createHistogram']> | undefined;

  private constructor(private readonly meter: Meter | null) {
    this.counters = new Map(
      meter
        ? Object.entries(COUNTERS).map(([name, description]) => [name, meter.createCounter(name, { description })])
        : [],
    );
    this.durations = meter?.createHistogram('latchkey.store.duration', {
      description: 'Statements of this module, by name: until the database has answered',
      unit: 'ms',
      advice: { explicitBucketBoundaries: BOUNDARIES },
    });
  }

  /** Uses the SDK registered now: register yours before the application starts (`node --import`). */
  static async load(api?: () => Promise<unknown>): Promise<AuthMetrics> {
    try {
      // Within `try`, and in no function of its own: only so does a bundler that cannot find it go on.
      const telemetry = (await (api ? api() : import('@opentelemetry/api'))) as OpenTelemetry;
      const meter = telemetry.metrics.getMeter('nestjs-latchkey');
      // Without an SDK, the API returns the same no-op meter to everyone.
      return meter === telemetry.createNoopMeter() ? AuthMetrics.OFF : new AuthMetrics(meter);
    } catch {
      // Not installed, or an unknown version: not a reason to fail the boot.
      return AuthMetrics.OFF;
    }
  }

  static readonly OFF = new AuthMetrics(null);

  get isOn(): boolean {
    return this.meter !== null;
  }

  count(name: CounterName, attributes: Attributes, by = 1): void {
    if (by > 0) this.counters.get(name)?.add(by, attributes);
  }

  /** A statement took this long (ms), whether or not it succeeded. */
  took(statement: string, duration: number): void {
    this.durations?.record(duration, { statement: statement || 'unnamed' });
  }

  /** Calls `read` whenever the SDK collects, until the returned function is called. */
  observe(name: GaugeName, read: () => number): () => void {
    if (!this.meter) return () => {};
    const gauge = this.meter.createObservableGauge(name, { description: GAUGES[name] });
    const callback = (result: { observe(value: number): void }) => result.observe(read());
    gauge.addCallback(callback);
    return () => gauge.removeCallback(callback);
  }
}
