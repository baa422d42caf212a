import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { AuthEvents } from '../events/auth-events.js';
import { AuthMetrics, type Attributes, type CounterName } from './auth-metrics.js';

/** What an event has besides `type`, where this cares for it. Read as it comes: more types may be told than are known. */
type Told = Readonly<Record<string, unknown>> & { readonly type: string };

/** Events that have a counter of their own besides `latchkey.events`. */
const COUNTED: Readonly<Record<string, (event: Told) => readonly [CounterName, Attributes]>> = {
  'login.succeeded': () => ['latchkey.logins', { result: 'succeeded' }],
  'login.failed': () => ['latchkey.logins', { result: 'failed' }],
  'token.consumed': (event) => ['latchkey.ephemeral_tokens', { type: word(event['tokenType']), result: 'consumed' }],
  'token.refused': (event) => ['latchkey.ephemeral_tokens', { type: word(event['tokenType']), result: 'refused' }],
  'rate_limit.reached': (event) => ['latchkey.rate_limit.refusals', { event: word(event['event']) }],
};

/** Counts what `AuthEvents` tells: every type under `latchkey.events`, some by what they are about too. */
@Injectable()
export class EventMetrics implements OnApplicationShutdown {
  private readonly stop: () => void;

  constructor(events: AuthEvents, metrics: AuthMetrics) {
    this.stop = metrics.isOn ? events.on((event) => count(metrics, event as unknown as Told)) : () => {};
  }

  onApplicationShutdown(): void {
    this.stop();
  }
}

function count(metrics: AuthMetrics, event: Told): void {
  metrics.count('latchkey.events', { type: event.type });
  const counted = Object.hasOwn(COUNTED, event.type) ? COUNTED[event.type]!(event) : null;
  if (counted) metrics.count(...counted);
}

/** A name from the configuration, 1 to 20 of a-z, 0-9 and _; whatever else it is becomes one word. */
const word = (value: unknown): string =>
  typeof value === 'string' && /^[a-z0-9_]{1,20}$/.test(value) ? value : 'other';
