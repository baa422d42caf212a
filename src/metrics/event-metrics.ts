import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { AuthEvents } from '../events/auth-events.js';
import { AuthMetrics, type Attributes, type CounterName } from './auth-metrics.js';

/**
 * The fields of an event that are used besides `type`. All optional, since there may be more types than are known here.
 */
type AnyEvent = Readonly<Record<string, unknown>> & { readonly type: string };
type Counted = readonly [counter: CounterName, attributes: Attributes, by?: number];

const change = (name: string) => (): Counted => ['latchkey.session.changes', { change: name }];
const token =
  (result: string) =>
  (event: AnyEvent): Counted => ['latchkey.ephemeral_tokens', { type: word(event['tokenType']), result }];

const factor =
  (result: string) =>
  (event: AnyEvent): Counted => ['latchkey.second_factors', { factor: word(event['factor']), result }];

/** Events that have a counter of their own besides `latchkey.events`. */
const COUNTED: Readonly<Record<string, (event: AnyEvent) => Counted>> = {
  'session.created': change('created'),
  'session.rotated': change('rotated'),
  'session.extended': change('extended'),
  'session.revoked': ({ reason, count }) => [
    'latchkey.session.changes',
    { change: 'revoked', reason: word(reason) },
    typeof count === 'number' ? count : 1,
  ],
  'session.imported': ({ source }) => ['latchkey.session.changes', { change: 'imported', source: word(source) }],
  'login.succeeded': () => ['latchkey.logins', { result: 'succeeded' }],
  'login.failed': ({ reason }) => ['latchkey.logins', { result: 'failed', reason: word(reason) }],
  'factor.added': factor('added'),
  'factor.removed': factor('removed'),
  'factor.used': factor('used'),
  'factor.refused': factor('refused'),
  'factor.disabled': factor('disabled'),
  'token.consumed': token('consumed'),
  'token.refused': token('refused'),
  'mail.sent': ({ kind }) => ['latchkey.mails', { kind: word(kind), result: 'sent' }],
  'mail.failed': ({ kind, reason }) => ['latchkey.mails', { kind: word(kind), result: 'failed', reason: word(reason) }],
  'rate_limit.reached': ({ event }) => ['latchkey.rate_limit.reached', { event: word(event) }],
};

/** Counts the events of `AuthEvents`: every type under `latchkey.events`, and some under their own names too. */
@Injectable()
export class EventMetrics implements OnApplicationShutdown {
  private readonly stop: () => void;

  constructor(events: AuthEvents, metrics: AuthMetrics) {
    this.stop = metrics.isOn ? events.on((event) => count(metrics, event as unknown as AnyEvent)) : () => {};
  }

  onApplicationShutdown(): void {
    this.stop();
  }
}

function count(metrics: AuthMetrics, event: AnyEvent): void {
  metrics.count('latchkey.events', { type: event.type });
  const counted = Object.hasOwn(COUNTED, event.type) ? COUNTED[event.type]!(event) : null;
  if (counted) metrics.count(...counted);
}

/** A name from the configuration, or a code, of which there are few; anything else is replaced by one word. */
const word = (value: unknown): string =>
  typeof value === 'string' && /^[A-Za-z0-9_-]{1,40}$/.test(value) ? value : 'other';
